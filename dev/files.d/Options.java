import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Names of options that the jars of a release read, one a line: string literals that look like properties, those that
 * {@code QuorumPeerConfig} compares keys of zoo.cfg with, and the names that the TLS classes put together.
 */
final class Options {
    private static final String PROPERTY = "(zookeeper|jute|znode|readonlymode|leader|follower|learner|fsync)(\\.[A-Za-z0-9_-]+)+";
    private static final String KEY = "[a-z][A-Za-z]*([.-][A-Za-z]+)*\\.?";

    public static void main(String[] arguments) throws Exception {
        Set<String> names = new TreeSet<>();
        List<URL> jars = new ArrayList<>();
        for (File file : new File(arguments[0]).listFiles((folder, name) -> name.endsWith(".jar"))) {
            jars.add(file.toURI().toURL());
            if (!file.getName().startsWith("zookeeper-")) {
                continue;
            }
            try (JarFile jar = new JarFile(file)) {
                for (JarEntry entry : Collections.list(jar.entries())) {
                    if (!entry.getName().endsWith(".class")) {
                        continue;
                    }
                    boolean parser = entry.getName().endsWith("/QuorumPeerConfig.class");
                    for (String literal : literals(jar.getInputStream(entry).readAllBytes())) {
                        if (literal.matches(PROPERTY) || parser && literal.matches(KEY)) {
                            names.add(literal);
                        }
                    }
                }
            }
        }
        // A loader of its own, without the classes of this release.
        try (URLClassLoader loader = new URLClassLoader(jars.toArray(new URL[0]), ClassLoader.getPlatformClassLoader())) {
            for (String tls : List.of("ClientX509Util", "QuorumX509Util")) {
                Class<?> type = loader.loadClass("org.apache.zookeeper.common." + tls);
                Object util = type.getConstructor().newInstance();
                for (Method method : type.getMethods()) {
                    if (method.getName().matches("get.*Property") && method.getParameterCount() == 0) {
                        names.add((String) method.invoke(util));
                    }
                }
            }
        }
        names.forEach(System.out::println);
        System.exit(0);
    }

    /** String literals of a class file: javac has put constants together already. */
    private static List<String> literals(byte[] file) throws IOException {
        DataInputStream in = new DataInputStream(new ByteArrayInputStream(file));
        in.readLong();
        int count = in.readUnsignedShort();
        String[] texts = new String[count];
        List<Integer> strings = new ArrayList<>();
        for (int at = 1; at < count; at++) {
            int tag = in.readUnsignedByte();
            switch (tag) {
                case 1 -> texts[at] = in.readUTF();
                case 8 -> strings.add(in.readUnsignedShort());
                case 5, 6 -> {
                    in.readLong();
                    at++;
                }
                case 7, 16, 19, 20 -> in.readUnsignedShort();
                case 15 -> in.skipBytes(3);
                default -> in.readInt();
            }
        }
        return strings.stream().map(index -> texts[index]).toList();
    }
}
