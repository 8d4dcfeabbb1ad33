import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

/**
 * Words counted by Kafka Streams at at-least-once, over a repartition topic and a changelog topic. Exact while nothing breaks;
 * after a kill of the broker and a restart of the program, whose store is thrown away and comes back from the changelog, at least
 * what was sent.
 *
 * Arguments: home node|shard lines.
 */
final class WordCount {
    private static final String[] WORDS = {"log", "offset", "batch", "shard", "core", "page", "group", "topic", "segment", "epoch"};
    private static final String LINES = "lines";
    private static final String COUNTS = "counts";

    private final String address;
    private final Path home;
    private final int lines;
    private final Map<String, Long> sent = new TreeMap<>();

    private WordCount(String address, Path home, int lines) {
        this.address = address;
        this.home = home;
        this.lines = lines;
    }

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Broker broker = new Broker(home, arguments[1].equals("shard"));
        new WordCount(broker.address(), home, Integer.parseInt(arguments[2])).run(broker);
        broker.stop();
        System.exit(0);
    }

    private void run(Broker broker) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(LINES, 4, (short) 1), new NewTopic(COUNTS, 4, (short) 1))).all().get();
        }
        KafkaStreams streams = count("first");
        send(0);
        Map<String, Long> counted = await(true);
        System.out.println("exact " + counted);

        send(1);
        broker.kill();
        broker.start();
        send(2);
        if (!streams.close(Duration.ofSeconds(30))) throw new IllegalStateException("Streams does not close");
        // Another directory: the counts come back from the changelog.
        streams = count("second");
        send(3);
        System.out.println("at least " + await(false) + " of " + sent);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            List<String> inner = admin.listTopics().names().get().stream().filter(name -> name.startsWith("word-count-")).sorted().toList();
            if (inner.size() != 2) throw new IllegalStateException("repartition and changelog topics: " + inner);
            System.out.println("inner topics " + inner);
        }
        if (!streams.close(Duration.ofSeconds(30))) throw new IllegalStateException("Streams does not close");
    }

    private KafkaStreams count(String state) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(LINES)
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
            .count(Materialized.as("words"))
            .toStream()
            .to(COUNTS, Produced.with(Serdes.String(), Serdes.Long()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, address);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, home.resolve("state-" + state).toString());
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), "6000");
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), "1000");
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setUncaughtExceptionHandler(e -> {
            System.out.println("Streams failed: " + e);
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        return streams;
    }

    private void send(int round) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int line = 0; line < lines; line++) {
                String one = WORDS[line % WORDS.length], other = WORDS[(line * 7 + round) % WORDS.length];
                sent.merge(one, 1L, Long::sum);
                sent.merge(other, 1L, Long::sum);
                producer.send(new ProducerRecord<>(LINES, "" + line, one + " " + other), (where, failure) -> {
                    if (failure != null) {
                        System.out.println("not sent: " + failure);
                        Runtime.getRuntime().halt(1);
                    }
                });
            }
        }
    }

    /** Waits until the newest counts are those sent, or more if that is allowed. */
    private Map<String, Long> await(boolean exact) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        Map<String, Long> counted = new HashMap<>();
        long begin = System.nanoTime();
        try (KafkaConsumer<String, Long> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(COUNTS).stream().map(p -> new TopicPartition(COUNTS, p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            while (!sent.entrySet().stream().allMatch(word -> counted.getOrDefault(word.getKey(), 0L) >= word.getValue())) {
                if (System.nanoTime() - begin > 60_000_000_000L) throw new IllegalStateException("counted " + new TreeMap<>(counted) + " of " + sent);
                consumer.poll(Duration.ofMillis(200)).forEach(record -> counted.put(record.key(), record.value()));
            }
            consumer.poll(Duration.ofSeconds(1)).forEach(record -> counted.put(record.key(), record.value()));
        }
        if (exact && !counted.equals(sent)) throw new IllegalStateException("counted " + new TreeMap<>(counted) + " instead of " + sent);
        return new TreeMap<>(counted);
    }
}
