import com.sun.tools.attach.VirtualMachine;
import java.io.ByteArrayInputStream;
import java.io.File;
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
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.quorum.QuorumPeerConfig;

/**
 * What real ZooKeeper makes of a zoo.cfg.
 *
 * <p>{@code anew ZOO_CFG TIMES} has it write the file anew, and prints as JSON what it reads then. {@code serve HOME JARS FLAG…}
 * starts a server on HOME/zoo.cfg, changes the membership, kills the server and starts it once more; it prints for both starts
 * the system properties and the answer to {@code conf}.
 */
final class Settings {
    private static final int PEER = port(), ELECTION = port();

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("anew")) {
            Path file = Path.of(arguments[1]);
            Path dynamic = Files.writeString(file.resolveSibling("zoo.cfg.dynamic.5"), "");
            for (int times = Integer.parseInt(arguments[2]); times > 0; times--) {
                QuorumPeerConfig.editStaticConfig(file.toString(), dynamic.toString(), true);
            }
            print(read(Files.readAllBytes(file)));
        } else {
            serve(Path.of(arguments[1]), arguments[2], Arrays.asList(arguments).subList(3, arguments.length));
        }
        System.exit(0);
    }

    private static void serve(Path home, String jars, List<String> flags) throws Exception {
        int first = port(), second = port();
        Path file = home.resolve("zoo.cfg"), dynamic = home.resolve("zoo.cfg.dynamic.0");
        Files.writeString(dynamic, line(first) + "\n");
        Files.createDirectories(home.resolve("data"));
        Files.writeString(home.resolve("data/myid"), "1\n");
        Files.writeString(home.resolve("data/initialize"), "");
        String text = Files.readString(file).replace("@HOME@", home.toString()).replace("@ADMIN@", "" + port());
        Files.writeString(file, text + "DigestAuthenticationProvider.superDigest=" + Play.SUPER_DIGEST
            + "\ndynamicConfigFile=" + dynamic + "\n");
        Process server = start(home, jars, flags);
        try {
            report(home, server, first);
            ZooKeeperAdmin admin = new ZooKeeperAdmin("127.0.0.1:" + first, 30_000, event -> { });
            admin.addAuthInfo("digest", "super:secret".getBytes(StandardCharsets.UTF_8));
            try {
                admin.reconfigure(List.of(line(second)), null, null, -1, new Stat());
            } catch (org.apache.zookeeper.KeeperException.ConnectionLossException closed) {
                // The port that it would have answered on is gone.
            }
            Play.await("zoo.cfg is written anew", () -> {
                try {
                    return !Files.readString(file).contains(dynamic + "\n");
                } catch (java.io.IOException away) {
                    return false;
                }
            });
        } finally {
            server.destroyForcibly().waitFor();
        }
        server = start(home, jars, flags);
        try {
            report(home, server, second);
        } finally {
            server.destroyForcibly().waitFor();
        }
    }

    private static Process start(Path home, String jars, List<String> flags) throws Exception {
        List<String> command = new ArrayList<>(List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-Xmx128m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-cp", jars + "/*", "-Djava.io.tmpdir=" + home));
        command.addAll(flags);
        command.addAll(List.of("org.apache.zookeeper.server.quorum.QuorumPeerMain", home.resolve("zoo.cfg").toString()));
        File output = home.resolve("server.out").toFile();
        Process server = new ProcessBuilder(command).redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(output)).start();
        Runtime.getRuntime().addShutdownHook(new Thread(server::destroyForcibly));
        return server;
    }

    private static void report(Path home, Process server, int client) throws Exception {
        Play.await("the server serves, see " + home.resolve("server.out"), () -> ask(client, "srvr").contains("Mode: leader"));
        VirtualMachine machine = VirtualMachine.attach("" + server.pid());
        Map<String, String> seen = strings(machine.getSystemProperties());
        machine.detach();
        ask(client, "conf").lines().filter(line -> line.contains("="))
            .forEach(line -> seen.put("conf " + line.substring(0, line.indexOf('=')), line.substring(line.indexOf('=') + 1)));
        print(seen);
    }

    private static String ask(int port, String word) {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 500);
            socket.setSoTimeout(1000);
            socket.getOutputStream().write(word.getBytes(StandardCharsets.US_ASCII));
            socket.getOutputStream().flush();
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
        } catch (java.io.IOException silent) {
            return "";
        }
    }

    private static String line(int client) {
        return "server.1=127.0.0.1:" + PEER + ":" + ELECTION + ":participant;127.0.0.1:" + client;
    }

    private static Map<String, String> read(byte[] text) throws Exception {
        Properties properties = new Properties();
        properties.load(new ByteArrayInputStream(text));
        return strings(properties);
    }

    private static Map<String, String> strings(Properties properties) {
        Map<String, String> strings = new TreeMap<>();
        properties.forEach((key, value) -> strings.put("" + key, "" + value));
        return strings;
    }

    private static void print(Map<String, String> strings) throws Exception {
        System.out.println(new ObjectMapper().writeValueAsString(strings));
    }

    private static int port() {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        } catch (java.io.IOException full) {
            throw new IllegalStateException("no free port on loopback", full);
        }
    }
}
