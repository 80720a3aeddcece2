import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.OpCode;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.Request;
import org.apache.zookeeper.server.persistence.FileSnap;
import org.apache.zookeeper.server.persistence.FileTxnLog;
import org.apache.zookeeper.server.persistence.Util;
import org.apache.zookeeper.txn.CheckVersionTxn;
import org.apache.zookeeper.txn.CloseSessionTxn;
import org.apache.zookeeper.txn.CreateSessionTxn;
import org.apache.zookeeper.txn.CreateTxn;
import org.apache.zookeeper.txn.DeleteTxn;
import org.apache.zookeeper.txn.ErrorTxn;
import org.apache.zookeeper.txn.MultiTxn;
import org.apache.zookeeper.txn.SetDataTxn;
import org.apache.zookeeper.txn.Txn;
import org.apache.zookeeper.txn.TxnDigest;
import org.apache.zookeeper.txn.TxnHeader;

/**
 * A long history, written by ZooKeeper's own classes: a snapshot of many znodes, and logs of many transactions after it,
 * each with the digest of the tree. The same arguments give the same bytes.
 *
 * usage: History OUT ZNODES TRANSACTIONS TRANSACTIONS-A-LOG
 */
final class History {
    private static final int FOLDERS = 1000;
    private static final int QUEUES = 100;
    private final Random random = new Random(9);
    private final DataTree tree = new DataTree();
    private final FileTxnLog log;
    private final int znodes;
    private final int[] versions;
    private final List<ArrayDeque<String>> queues = new ArrayList<>();
    private final ArrayDeque<Long> members = new ArrayDeque<>();
    private long zxid = 0x1_0000_0000L;
    private long time = 1_700_000_000_000L;
    private long sessions = 0x1000_0000_0000_0000L;
    private int items;

    private History(Path out, int znodes) {
        log = new FileTxnLog(out.toFile());
        this.znodes = znodes;
        versions = new int[znodes];
        for (int queue = 0; queue < QUEUES; queue++) {
            queues.add(new ArrayDeque<>());
        }
    }

    public static void main(String[] args) throws Exception {
        Path out = Path.of(args[0], "version-2");
        History history = new History(out, Integer.parseInt(args[1]));
        history.plant(out);
        int count = Integer.parseInt(args[2]);
        int roll = Integer.parseInt(args[3]);
        for (int n = 0; n < count; n++) {
            if (n % roll == 0 && n > 0) {
                history.log.rollLog();
            }
            history.step();
            if (n % 1000 == 999) {
                history.log.commit();
            }
        }
        history.log.commit();
        history.log.close();
        System.exit(0);
    }

    /** The znodes that are there before the first log. */
    private void plant(Path out) throws Exception {
        create("/app", new byte[0]);
        create("/queue", new byte[0]);
        create("/members", new byte[0]);
        for (int folder = 0; folder < FOLDERS; folder++) {
            create("/app/folder-" + folder, new byte[0]);
        }
        for (int queue = 0; queue < QUEUES; queue++) {
            create("/queue/" + queue, new byte[0]);
        }
        for (int znode = 0; znode < znodes; znode++) {
            create(path(znode), data());
        }
        Map<Long, Integer> timeouts = new HashMap<>();
        for (int n = 0; n < 1000; n++) {
            timeouts.put(++sessions, 30_000);
        }
        File file = out.resolve(Util.makeSnapshotName(zxid)).toFile();
        tree.lastProcessedZxid = zxid;
        new FileSnap(out.toFile()).serialize(tree, timeouts, file, false);
    }

    private void create(String path, byte[] data) {
        zxid++;
        TxnHeader header = new TxnHeader(sessions, 0, zxid, time, OpCode.create);
        tree.processTxn(header, new CreateTxn(path, data, Ids.OPEN_ACL_UNSAFE, false, 1));
    }

    private static String path(int znode) {
        return "/app/folder-" + znode % FOLDERS + "/znode-" + znode;
    }

    private byte[] data() {
        StringBuilder text = new StringBuilder("{\"state\":\"running\",\"value\":");
        int length = 40 + random.nextInt(160);
        while (text.length() < length) {
            text.append(random.nextInt(1 << 30)).append(',');
        }
        return text.append("0}").toString().getBytes(StandardCharsets.UTF_8);
    }

    private long session() {
        return 0x1000_0000_0000_0000L + 1 + random.nextInt(1000);
    }

    private void step() throws Exception {
        int dice = random.nextInt(100);
        ArrayDeque<String> queue = queues.get(random.nextInt(QUEUES));
        if (dice < 80) {
            append(session(), OpCode.setData, set(random.nextInt(znodes)));
        } else if (dice < 86) {
            int number = queues.indexOf(queue);
            String item = String.format("/queue/%d/item-%010d", number, items++);
            queue.add(item);
            append(session(), OpCode.create2, new CreateTxn(item, data(), Ids.OPEN_ACL_UNSAFE, false, items));
        } else if (dice < 92) {
            if (queue.isEmpty()) {
                append(session(), OpCode.error, new ErrorTxn(-101));
            } else {
                append(session(), OpCode.delete, new DeleteTxn(queue.poll()));
            }
        } else if (dice < 94) {
            int znode = random.nextInt(znodes);
            int version = versions[znode];
            List<Txn> parts = new ArrayList<>();
            parts.add(part(OpCode.check, new CheckVersionTxn(path(znode), version + 1)));
            parts.add(part(OpCode.setData, set(znode)));
            parts.add(part(OpCode.setData, set(random.nextInt(znodes))));
            append(session(), OpCode.multi, new MultiTxn(parts));
        } else if (dice < 96) {
            long session = ++sessions;
            append(session, OpCode.createSession, new CreateSessionTxn(30_000));
            members.add(session);
        } else if (dice < 98 && !members.isEmpty()) {
            long session = members.peekLast();
            String path = String.format("/members/%x-%d", session, items++);
            append(session, OpCode.create, new CreateTxn(path, data(), Ids.OPEN_ACL_UNSAFE, true, items));
        } else if (members.size() > 500) {
            long session = members.poll();
            append(session, OpCode.closeSession, new CloseSessionTxn(new ArrayList<>(tree.getEphemerals(session))));
        } else {
            append(session(), OpCode.error, new ErrorTxn(-110));
        }
    }

    private SetDataTxn set(int znode) {
        return new SetDataTxn(path(znode), data(), ++versions[znode]);
    }

    private static Txn part(int type, Record record) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        record.serialize(BinaryOutputArchive.getArchive(bytes), "request");
        return new Txn(type, bytes.toByteArray());
    }

    private void append(long session, int type, Record record) throws Exception {
        TxnHeader header = new TxnHeader(session, items, ++zxid, ++time, type);
        tree.processTxn(header, record);
        TxnDigest digest = type == OpCode.error ? null : new TxnDigest(2, tree.getTreeDigest());
        log.append(new Request(header, record, digest));
    }
}
