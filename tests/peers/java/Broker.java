import java.io.File;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A broker of our own, which may be killed and comes back on the same ports. */
final class Broker {
    private static final int SHARDS = 4;
    private static final long UP_SECONDS = 60;

    private final Path home;
    private final int first;
    private final int kafkaShard;
    private final boolean shardDoor;
    private int shards;
    private Process process;

    Broker(Path home, boolean shardDoor) throws IOException, InterruptedException {
        this(home, shardDoor, SHARDS, SHARDS);
    }

    /** KOLK names the program, JUDGE_CONFIG its settings; the data is kept in home/data. It may have up to shardsMax shards later. */
    Broker(Path home, boolean shardDoor, int shards, int shardsMax) throws IOException, InterruptedException {
        this.home = home;
        this.shardDoor = shardDoor;
        this.shards = shards;
        first = freePorts(3 + 2 * shardsMax);
        kafkaShard = first + 3 + shardsMax;
        start();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> process.destroyForcibly()));
    }

    String address() {
        return "127.0.0.1:" + port();
    }

    private int port() {
        return shardDoor ? kafkaShard : first + 2;
    }

    /** Comes back with another number of shards. */
    void start(int shards) throws IOException, InterruptedException {
        this.shards = shards;
        start();
    }

    void start() throws IOException, InterruptedException {
        List<String> command = List.of(
            System.getenv("KOLK"), "serve", "--config", System.getenv("JUDGE_CONFIG"), "--data", home.resolve("data").toString(),
            "--native-port", "" + first, "--http-port", "" + (first + 1), "--kafka-port", "" + (first + 2),
            "--native-shard-port", "" + (first + 3), "--kafka-shard-port", "" + kafkaShard, "--shards", "" + shards);
        File log = home.resolve("broker.log").toFile();
        process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log)).start();
        long begin = System.nanoTime();
        while (!answers()) {
            if (!process.isAlive() || System.nanoTime() - begin > TimeUnit.SECONDS.toNanos(UP_SECONDS)) {
                throw new IOException("the broker did not come up, read " + log);
            }
            Thread.sleep(50);
        }
    }

    /** SIGKILL. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    /** SIGTERM, and the end must be a clean one. */
    void stop() throws IOException, InterruptedException {
        process.destroy();
        if (!process.waitFor(30, TimeUnit.SECONDS) || process.exitValue() != 0) {
            throw new IOException("the broker did not stop cleanly, read " + home.resolve("broker.log"));
        }
    }

    private boolean answers() {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port()), 200);
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    private static int freePorts(int count) throws IOException {
        for (int first = 24_000 + (int) (ProcessHandle.current().pid() % 100) * 20; first < 28_000; first += count) {
            List<ServerSocket> held = new ArrayList<>();
            try {
                for (int port = first; port < first + count; port++) {
                    ServerSocket socket = new ServerSocket();
                    held.add(socket);
                    socket.bind(new InetSocketAddress("127.0.0.1", port));
                }
                return first;
            } catch (IOException e) {
                // Somebody has one of them.
            } finally {
                for (ServerSocket socket : held) socket.close();
            }
        }
        throw new IOException("no " + count + " free ports");
    }
}
