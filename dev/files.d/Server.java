import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** One real ZooKeeper server in a process of its own, on loopback. */
final class Server {
    /** Loopback ports: clients, peers, elections. */
    final int client = port(), peer = port(), election = port();
    final int id;
    final Path home;
    private final String jars;
    private final List<String> properties;
    private Process process;

    Server(int id, Path home, String jars, List<String> properties) {
        this.id = id;
        this.home = home;
        this.jars = jars;
        this.properties = properties;
        Runtime.getRuntime().addShutdownHook(new Thread(this::kill));
    }

    /** `server.N=` as every release from 3.4 on reads it; the client's address in it is of 3.5 and later. */
    String line(boolean dynamic) {
        String address = "127.0.0.1:" + peer + ":" + election;
        return "server." + id + "=" + address + (dynamic ? ":participant;127.0.0.1:" + client : "");
    }

    void configure(List<Server> ensemble, boolean dynamic) throws IOException {
        List<String> lines = new ArrayList<>(List.of(
            "tickTime=500", "initLimit=40", "syncLimit=20", "dataDir=" + home.resolve("data"), "maxClientCnxns=0"));
        if (ensemble.isEmpty() || !dynamic) {
            lines.add("clientPort=" + client);
            lines.add("clientPortAddress=127.0.0.1");
        }
        if (!ensemble.isEmpty() && dynamic) {
            lines.add("reconfigEnabled=true");
            lines.add("standaloneEnabled=false");
        }
        ensemble.forEach(member -> lines.add(member.line(dynamic)));
        Files.createDirectories(home.resolve("data"));
        Files.writeString(home.resolve("data/myid"), id + "\n");
        Files.write(home.resolve("zoo.cfg"), lines);
    }

    void start() throws Exception {
        List<String> command = new ArrayList<>(List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx128m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-cp", jars + "/*",
            // What is unpacked for snappy goes with the server, however it ends.
            "-Djava.io.tmpdir=" + home,
            // Small files: 64 KiB at a time, a new log every few dozen transactions.
            "-Dzookeeper.preAllocSize=64", "-Dzookeeper.snapCount=60", "-Dzookeeper.forceSync=no",
            "-Dzookeeper.extendedTypesEnabled=true", "-Dzookeeper.admin.enableServer=false",
            "-Dzookeeper.4lw.commands.whitelist=*", "-Dznode.container.checkIntervalMs=300",
            "-Dzookeeper.DigestAuthenticationProvider.superDigest=" + Play.SUPER_DIGEST));
        command.addAll(properties);
        command.addAll(List.of("org.apache.zookeeper.server.quorum.QuorumPeerMain", home.resolve("zoo.cfg").toString()));
        File output = home.resolve("server.out").toFile();
        process = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(output)).start();
    }

    /** As a power cut: nothing is flushed, nothing is closed. Not in the middle of a snapshot: that is damage, which is made elsewhere. */
    void kill() {
        if (process == null) {
            return;
        }
        for (int looks = 0; looks < 100 && process.isAlive() && writesSnapshot(); looks++) {
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(100));
        }
        process.destroyForcibly();
        try {
            process.waitFor(10, TimeUnit.SECONDS);
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
    }

    /** A small snapshot takes milliseconds; a machine that is busy may stop its writer for longer. */
    private boolean writesSnapshot() {
        File[] snapshots = home.resolve("data/version-2").toFile().listFiles((folder, name) -> name.startsWith("snapshot."));
        long recent = System.currentTimeMillis() - 500;
        return snapshots != null
            && Arrays.stream(snapshots).anyMatch(file -> file.length() == 0 || file.lastModified() > recent);
    }

    /** leader, follower, standalone; "" while it does not serve. */
    String mode() {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", client), 500);
            socket.setSoTimeout(1000);
            socket.getOutputStream().write("srvr".getBytes(StandardCharsets.US_ASCII));
            socket.getOutputStream().flush();
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            return answer.lines().filter(line -> line.startsWith("Mode: ")).map(line -> line.substring(6)).findFirst().orElse("");
        } catch (IOException silent) {
            return "";
        }
    }

    boolean lives() {
        return process != null && process.isAlive();
    }

    void awaitServing() throws Exception {
        Play.await("server " + id + " serves, see " + home.resolve("server.out"), () -> !mode().isEmpty());
    }

    private static int port() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        } catch (IOException full) {
            throw new IllegalStateException("no free port on loopback", full);
        }
    }
}
