import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.apache.zookeeper.server.SnapshotFormatter;
import org.apache.zookeeper.server.ZKDatabase;
import org.apache.zookeeper.server.persistence.FileTxnSnapLog;
import org.apache.zookeeper.server.persistence.TxnLogToolkit;
import org.apache.zookeeper.server.quorum.QuorumPeer;

/**
 * ZooKeeper's own tools on many files in one process.
 *
 * usage: Tools dump FOLDER OUT    what TxnLogToolkit and SnapshotFormatter print of each file below FOLDER, into OUT
 *        Tools load FOLDER…       what a server's start makes of each folder (that with version-2 in it, or DATA,LOG), one JSON a line
 */
final class Tools {
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "dump" -> dump(Path.of(args[1]), Path.of(args[2]));
            case "load" -> {
                for (String folder : List.of(args).subList(1, args.length)) {
                    System.out.println(load(Files.exists(Path.of(folder)) ? new String[] {folder} : folder.split(",")));
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.exit(0);
    }

    private static void dump(Path folder, Path out) throws Exception {
        List<Path> files;
        try (Stream<Path> all = Files.walk(folder)) {
            files = all.filter(Files::isRegularFile).sorted().toList();
        }
        for (Path file : files) {
            String name = file.getFileName().toString();
            Path text = out.resolve(folder.relativize(file) + ".txt");
            if (name.startsWith("log.")) {
                into(text, () -> TxnLogToolkit.main(new String[] {"-d", file.toString()}));
            } else if (name.startsWith("snapshot.")) {
                into(text, () -> SnapshotFormatter.main(new String[] {"-d", file.toString()}));
            }
        }
    }

    interface Tool {
        void run() throws Exception;
    }

    private static void into(Path file, Tool tool) throws Exception {
        Files.createDirectories(file.getParent());
        PrintStream terminal = System.out;
        try (PrintStream out = new PrintStream(file.toFile(), StandardCharsets.UTF_8)) {
            System.setOut(out);
            tool.run();
        } finally {
            System.setOut(terminal);
        }
    }

    /** What a member of an ensemble does first of all: snapshot, logs, epochs. It writes epochs that are missing. */
    private static void loadAsMember(FileTxnSnapLog files, ZKDatabase database) throws Throwable {
        QuorumPeer member = new QuorumPeer();
        member.setTxnFactory(files);
        member.setZKDatabase(database);
        Method load = QuorumPeer.class.getDeclaredMethod("loadDataBase");
        load.setAccessible(true);
        try {
            load.invoke(member);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
    }

    /** The same calls as a server makes when it starts. It may delete an empty newest log: give it a copy. */
    private static String load(String[] folders) throws IOException {
        File data = new File(folders[0]);
        File logs = new File(folders[folders.length - 1]);
        try {
            FileTxnSnapLog files = new FileTxnSnapLog(logs, data);
            ZKDatabase database = new ZKDatabase(files);
            loadAsMember(files, database);
            long zxid = database.getDataTree().lastProcessedZxid;
            String answer = "{\"loads\":true,\"zxid\":" + zxid + ",\"nodes\":" + database.getDataTree().getNodeCount()
                + ",\"digest\":" + database.getDataTree().getTreeDigest() + "}";
            database.close();
            return answer;
        } catch (Throwable thrown) {
            Throwable refusal = thrown;
            while (refusal.getCause() != null) {
                refusal = refusal.getCause();
            }
            String why = String.valueOf(refusal).replaceAll("[\"\\\\\\p{Cntrl}]", " ");
            return "{\"loads\":false,\"why\":\"" + why + "\"}";
        }
    }
}
