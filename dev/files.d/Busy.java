import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.server.PurgeTxnLog;

/**
 * One real server that is kept busy, and one that a stranger ends.
 *
 * usage: Busy OUT JARS load [SYSTEM-PROPERTY…]   writes, rolls, snapshots and purges in OUT/data until its input ends; says
 *                                                "busy" once it does
 *        Busy OUT JARS stats | limits            a client without any right but the default ones ends the server; says
 *                                                whether it starts again
 *        Busy OUT JARS start                     says whether a server starts on OUT/data
 */
final class Busy {
    private static final byte[] NOTHING = new byte[0];

    public static void main(String[] args) throws Exception {
        List<String> properties = List.of(args).subList(3, args.length);
        Server server = new Server(1, Path.of(args[0]).toAbsolutePath(), args[1], properties);
        server.configure(List.of(), true);
        if (!args[2].equals("start")) {
            server.start();
            server.awaitServing();
        }
        switch (args[2]) {
            case "load" -> load(server);
            case "stats" -> {
                spoilStatistics(server);
                System.out.println(starts(server));
            }
            case "limits" -> {
                spoilLimits(server);
                System.out.println(starts(server));
            }
            case "start" -> System.out.println(starts(server));
            default -> throw new IllegalArgumentException(args[2]);
        }
        server.kill();
        System.exit(0);
    }

    private static ZooKeeper connect(Server server) throws Exception {
        ZooKeeper client = new ZooKeeper("127.0.0.1:" + server.client, 10_000, event -> { });
        Play.await("a client connects", () -> client.getState().isConnected());
        return client;
    }

    /** Statistics that are none, and one change below the path that they are of. */
    private static void spoilStatistics(Server server) throws Exception {
        ZooKeeper stranger = connect(server);
        String quota = "/zookeeper/quota/app";
        stranger.create("/app", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        stranger.create(quota, NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (String name : List.of("/zookeeper_limits", "/zookeeper_stats")) {
            byte[] none = "count=-1,bytes=-1".getBytes(StandardCharsets.UTF_8);
            stranger.create(quota + name, none, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        stranger.setData(quota + "/zookeeper_stats", "x".getBytes(StandardCharsets.UTF_8), -1);
        ends(stranger, () -> stranger.create("/app/a", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
    }

    /** Limits outside of /zookeeper/quota: their path is cut at a place that is not there. */
    private static void spoilLimits(Server server) throws Exception {
        ZooKeeper stranger = connect(server);
        stranger.create("/zookeeper/a", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        stranger.create("/zookeeper/a/zookeeper_limits", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        ends(stranger, () -> stranger.delete("/zookeeper/a/zookeeper_limits", -1));
    }

    interface Deed {
        void run() throws Exception;
    }

    private static void ends(ZooKeeper client, Deed deed) throws Exception {
        try {
            deed.run();
            System.err.println("the server answered");
        } catch (org.apache.zookeeper.KeeperException ended) {
            System.err.println("the server ended: " + ended.getMessage());
        }
        client.close(1000);
    }

    /** One JSON: whether the server serves after it was started on what it has. */
    private static String starts(Server server) throws Exception {
        server.kill();
        server.start();
        for (int looks = 0; looks < 300 && server.lives(); looks++) {
            if (!server.mode().isEmpty()) {
                return "{\"serves\":true}";
            }
            Thread.sleep(100);
        }
        return "{\"serves\":false}";
    }

    private static void load(Server server) throws Exception {
        for (int number = 0; number < 3; number++) {
            ZooKeeper client = connect(server);
            String top = "/load" + number;
            client.create(top, NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Thread writer = new Thread(() -> write(client, top));
            writer.setDaemon(true);
            writer.start();
        }
        File data = server.home.resolve("data").toFile();
        Thread purger = new Thread(() -> purge(data));
        purger.setDaemon(true);
        purger.start();
        System.out.println("busy");
        while (System.in.read() >= 0) {
            // Until whoever started it is gone.
        }
    }

    private static void write(ZooKeeper client, String top) {
        Semaphore ahead = new Semaphore(200);
        for (int number = 0; ; number++) {
            ahead.acquireUninterruptibly();
            ThreadLocalRandom random = ThreadLocalRandom.current();
            String path = top + "/" + random.nextInt(500);
            byte[] data = new byte[random.nextInt(3000)];
            switch (random.nextInt(4)) {
                case 0 -> client.delete(path, -1, (code, p, context) -> ahead.release(), null);
                case 1 -> client.setData(path, data, -1, (code, p, context, stat) -> ahead.release(), null);
                case 2 -> client.setACL(top, Ids.OPEN_ACL_UNSAFE, -1, (code, p, context, stat) -> ahead.release(), null);
                default -> client.create(path, data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                    (code, p, context, name) -> ahead.release(), null);
            }
        }
    }

    private static void purge(File data) {
        while (true) {
            try {
                Thread.sleep(2000);
                PurgeTxnLog.purge(data, data, 3);
            } catch (Exception later) {
                System.err.println("purge: " + later);
            }
        }
    }
}
