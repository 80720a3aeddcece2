import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/**
 * Real servers of one release do every kind of operation, and die: their files stay behind, and beside them what a live
 * client saw last (`seen.jsonl`).
 *
 * usage: Play OUT JARS VERSION SCENE [SYSTEM-PROPERTY…]     SCENE: alone, ensemble, look
 */
final class Play {
    static final String SUPER_DIGEST = digest("super:secret");
    private final Path out;
    private final boolean since35;
    private ZooKeeper zk;

    private Play(Path out, String version) {
        this.out = out;
        this.since35 = !version.startsWith("3.4.");
    }

    public static void main(String[] args) throws Exception {
        Play play = new Play(Path.of(args[0]).toAbsolutePath(), args[2]);
        List<String> properties = List.of(args).subList(4, args.length);
        switch (args[3]) {
            case "alone" -> play.alone(args[1], properties);
            case "ensemble" -> play.ensemble(args[1], properties);
            case "look" -> play.look(args[1], properties);
            default -> throw new IllegalArgumentException("no scene " + args[3]);
        }
        System.exit(0);
    }

    /** One server, killed and started again in the middle. */
    private void alone(String jars, List<String> properties) throws Exception {
        Server server = new Server(1, out.resolve("1"), jars, properties);
        server.configure(List.of(), since35);
        server.start();
        server.awaitServing();
        zk = connect(server, 30_000);
        everything(server);
        many("/many", 150);
        server.kill();
        server.start();
        server.awaitServing();
        // The client comes back by itself. What it is asked while an attempt at that fails is lost with the attempt.
        await("the client to be back", () -> {
            try {
                return zk.exists("/node", false) != null;
            } catch (KeeperException.ConnectionLossException lost) {
                return false;
            }
        });
        zk.setData("/node", "after the restart".getBytes(StandardCharsets.UTF_8), -1);
        zk.create("/open", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        finish(List.of(server));
    }

    /** Starts a server on a folder made by somebody else, and writes down what it serves. Nothing is written to it. */
    private void look(String jars, List<String> properties) throws Exception {
        List<String> still = new ArrayList<>(properties);
        // Nothing expires while it is looked at, however old the files are.
        still.add("-Dznode.container.checkIntervalMs=3600000");
        Server server = new Server(1, out, jars, still);
        server.configure(List.of(), since35);
        server.start();
        server.awaitServing();
        zk = connect(server, 30_000);
        see();
        server.kill();
    }

    /** Three members: leaders die, the membership changes, and one leader keeps what was never committed. */
    private void ensemble(String jars, List<String> properties) throws Exception {
        List<Server> members = new ArrayList<>();
        for (int id = 1; id <= 3; id++) {
            members.add(new Server(id, out.resolve("" + id), jars, properties));
        }
        for (Server member : members) {
            member.configure(members, since35);
            member.start();
        }
        for (Server member : members) {
            member.awaitServing();
        }
        zk = connect(members.get(0), 30_000);
        everything(members.get(0));
        for (int round = 0; round < 2; round++) {
            Server leader = leader(members);
            leader.kill();
            zk.close();
            List<Server> others = members.stream().filter(member -> member != leader).toList();
            Server next = leader(others);
            zk = connect(next, 30_000);
            many("/epoch" + round, 90);
            leader.start();
            leader.awaitServing();
        }
        zk.close();
        zk = connect(leader(members), 30_000);
        if (since35) {
            reconfigure(members);
        }
        zk.close();
        Server leader = neverCommitted(members);
        List<Server> others = members.stream().filter(member -> member != leader).toList();
        zk = connect(leader(others), 30_000);
        many("/truth", 30);
        finish(others);
    }

    /** A follower leaves the membership and comes back. */
    private static void reconfigure(List<Server> members) throws Exception {
        Server leader = leader(members);
        Server follower = members.stream().filter(member -> member != leader).findFirst().orElseThrow();
        ZooKeeperAdmin admin = new ZooKeeperAdmin("127.0.0.1:" + leader.client, 30_000, event -> { });
        admin.addAuthInfo("digest", "super:secret".getBytes(StandardCharsets.UTF_8));
        admin.reconfigure(null, List.of("" + follower.id), null, -1, new Stat());
        admin.reconfigure(List.of(follower.line(true)), null, null, -1, new Stat());
        admin.close();
        follower.awaitServing();
    }

    /** The leader writes to its log what its followers, just killed, never got. */
    private Server neverCommitted(List<Server> members) throws Exception {
        Server leader = leader(members);
        ZooKeeper client = connect(leader, 30_000);
        client.create("/committed", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (Server member : members) {
            if (member != leader) {
                awaitNode(member, "/committed");
            }
        }
        List<Server> others = members.stream().filter(member -> member != leader).toList();
        others.forEach(Server::kill);
        for (int n = 0; n < 5; n++) {
            client.create("/never" + n, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, (code, path, ctx, name) -> { }, null);
        }
        Thread.sleep(100);
        leader.kill();
        for (Server member : others) {
            member.start();
        }
        return leader;
    }

    private void finish(List<Server> servers) throws Exception {
        zk.create("/end", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (Server server : servers) {
            awaitNode(server, "/end");
        }
        see();
        servers.forEach(Server::kill);
    }

    /** Every kind of transaction that the release knows. */
    private void everything(Server server) throws Exception {
        byte[] text = "one".getBytes(StandardCharsets.UTF_8);
        Stat stat = new Stat();
        zk.create("/node", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.setData("/node", "two".getBytes(StandardCharsets.UTF_8), 0);
        zk.setData("/node", null, 1);
        zk.setData("/node", new byte[0], 2);
        zk.setData("/node", new byte[] {0, (byte) 0xff, 10, 13, 9, 0x7f, (byte) 0x80}, 3);
        zk.create("/grüße 世界", "Ünïcode\n".getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/large", "large ".repeat(700).getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create("/app", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        for (int n = 0; n < 3; n++) {
            zk.create("/app/job-", ("job " + n).getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL);
        }
        zk.delete("/app/job-0000000001", -1);
        zk.create("/app/gone", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.delete("/app/gone", 0);
        ACL mine = new ACL(Perms.ALL, new Id("digest", digest("me:mine")));
        ACL read = new ACL(Perms.READ | Perms.WRITE, new Id("world", "anyone"));
        zk.create("/acl", text, Arrays.asList(mine, read), CreateMode.PERSISTENT);
        zk.setACL("/node", Arrays.asList(mine, read, new ACL(Perms.ADMIN, new Id("ip", "127.0.0.1"))), 0);
        zk.create("/multi", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.multi(List.of(
            Op.check("/multi", 0),
            Op.create("/multi/a", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/multi/b", null, Arrays.asList(mine), CreateMode.EPHEMERAL),
            Op.setData("/multi/a", "changed in the same breath".getBytes(StandardCharsets.UTF_8), 0),
            Op.create("/multi/c", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.delete("/multi/b", -1)));
        fails(() -> zk.multi(List.of(
            Op.create("/multi/d", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT), Op.check("/multi", 77))));
        fails(() -> zk.multi(List.of(
            Op.setData("/multi/a", text, -1), Op.delete("/nowhere", -1))));
        fails(() -> zk.create("/node", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        fails(() -> zk.setData("/node", text, 99));
        fails(() -> zk.delete("/app", -1));
        if (since35) {
            zk.create("/create2", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat);
            zk.create("/create2/s-", text, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL, stat);
            zk.create("/container", text, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
            zk.create("/container/child", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.create("/box", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
            zk.create("/box/child", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.delete("/box/child", -1);
            zk.create("/ttl", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 3_600_000);
            zk.create("/brief", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 200);
            zk.create("/brief-", text, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 200);
        }
        zk.create("/live", text, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        sessions(server);
        if (since35) {
            await("the container goes", () -> zk.exists("/box", false) == null);
            await("what lives 200 ms goes", () -> zk.exists("/brief", false) == null
                && zk.getChildren("/", false).stream().noneMatch(name -> name.startsWith("brief")));
        }
    }

    /** One that closes, with ephemerals and without, and one that is never heard of again. */
    private void sessions(Server server) throws Exception {
        zk.create("/members", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        connect(server, 5_000).close();
        ZooKeeper closing = connect(server, 5_000);
        closing.create("/members/a", "closes".getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        closing.create("/members/n-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
        closing.create("/members/early", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        closing.delete("/members/early", -1);
        closing.close();
        ZooKeeper silent = connect(server, 1_000);
        silent.create("/members/b", "expires".getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        // Cuts the connection and keeps the session: only the server can end it.
        silent.getTestable().injectSessionExpiration();
        await("the session expires", () -> zk.exists("/members/b", false) == null);
    }

    /** Enough writes at once that logs roll and snapshots are taken while they go on. */
    private void many(String folder, int count) throws Exception {
        zk.create(folder, null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        CountDownLatch answers = new CountDownLatch(count);
        for (int n = 0; n < count; n++) {
            byte[] data = ("value " + n).getBytes(StandardCharsets.UTF_8);
            String path = folder + "/" + n % 20;
            if (n < 20) {
                zk.create(path, data, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, (code, at, ctx, name) -> answers.countDown(), null);
            } else if (n % 7 == 0) {
                zk.delete(path, -1, (code, at, ctx) -> answers.countDown(), null);
            } else {
                zk.setData(path, data, -1, (code, at, ctx, stat) -> answers.countDown(), null);
            }
        }
        if (!answers.await(30, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no answer to some of " + count + " writes under " + folder);
        }
    }

    /** What a client sees: one JSON object a line, sorted by path. */
    private void see() throws Exception {
        List<String> lines = new ArrayList<>();
        see("/", lines);
        Collections.sort(lines);
        Files.write(out.resolve("seen.jsonl"), lines);
    }

    private void see(String path, List<String> lines) throws Exception {
        Stat stat = new Stat();
        byte[] data = zk.getData(path, false, stat);
        StringBuilder acl = new StringBuilder();
        for (ACL entry : zk.getACL(path, new Stat())) {
            acl.append(acl.isEmpty() ? "" : ",").append("[").append(entry.getPerms()).append(",")
                .append(quoted(entry.getId().getScheme())).append(",").append(quoted(entry.getId().getId())).append("]");
        }
        lines.add("{\"path\":" + quoted(path)
            + ",\"data\":" + (data == null ? "null" : quoted(Base64.getEncoder().encodeToString(data)))
            + ",\"acl\":[" + acl + "]"
            + ",\"czxid\":" + stat.getCzxid() + ",\"mzxid\":" + stat.getMzxid() + ",\"pzxid\":" + stat.getPzxid()
            + ",\"ctime\":" + stat.getCtime() + ",\"mtime\":" + stat.getMtime()
            + ",\"version\":" + stat.getVersion() + ",\"cversion\":" + stat.getCversion() + ",\"aversion\":" + stat.getAversion()
            + ",\"ephemeralOwner\":" + stat.getEphemeralOwner() + ",\"numChildren\":" + stat.getNumChildren() + "}");
        for (String child : zk.getChildren(path, false)) {
            see(path.equals("/") ? "/" + child : path + "/" + child, lines);
        }
    }

    private static Server leader(List<Server> members) throws Exception {
        await("one of them leads", () -> members.stream().anyMatch(member -> member.mode().equals("leader")));
        return members.stream().filter(member -> member.mode().equals("leader")).findFirst().orElseThrow();
    }

    private static void awaitNode(Server server, String path) throws Exception {
        server.awaitServing();
        ZooKeeper client = connect(server, 30_000);
        await("server " + server.id + " has " + path, () -> client.exists(path, false) != null);
    }

    private static ZooKeeper connect(Server server, int timeout) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper client = new ZooKeeper("127.0.0.1:" + server.client, timeout, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        if (!connected.await(30, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no connection to server " + server.id + " within 30 s");
        }
        client.addAuthInfo("digest", "super:secret".getBytes(StandardCharsets.UTF_8));
        return client;
    }

    interface Attempt {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    private static void fails(Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (KeeperException expected) {
            return;
        }
        throw new IllegalStateException("an operation that must fail did not");
    }

    static void await(String what, Condition condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.holds()) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("after 60 s still not: " + what);
            }
            Thread.sleep(50);
        }
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            out.append(c == '"' || c == '\\' ? "\\" + c : c < 0x20 ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return out.append('"').toString();
    }

    private static String digest(String idPassword) {
        try {
            byte[] sha1 = MessageDigest.getInstance("SHA-1").digest(idPassword.getBytes(StandardCharsets.UTF_8));
            return idPassword.substring(0, idPassword.indexOf(':')) + ":" + Base64.getEncoder().encodeToString(sha1);
        } catch (java.security.NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
