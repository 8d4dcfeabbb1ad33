import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.IntegerDeserializer;
import org.apache.kafka.common.serialization.IntegerSerializer;

/**
 * Two consumers in one group and one idempotent producer, while the broker is killed, started again, stopped and started again, and
 * one consumer leaves and comes back: all records are read, committed offsets never go back, no record is twice in the log.
 *
 * Arguments: home classic|consumer dynamic|static node|shard records.
 */
final class Soak {
    private static final String TOPIC = "soak";
    private static final String GROUP = "soakers";
    private static final int PARTITIONS = 4;
    /**
     * What the client of 4.3.1 throws where its background thread learns of a new leader epoch while a poll collects records; the
     * consumer is of no use then, and a program starts it anew.
     */
    private static final String CLIENT_RACE = "Cannot set a new position without a valid current position";
    private static final long QUIET_NANOS_MAX = 60_000_000_000L;

    private final String address;
    private final String protocol;
    private final boolean fixed;
    private final int records;
    private final AtomicInteger sent = new AtomicInteger();
    private final AtomicInteger acked = new AtomicInteger();
    private final AtomicReference<Throwable> wrong = new AtomicReference<>();
    /** What is read, by its number. */
    private final BitSet seen = new BitSet();
    private int readCount;
    private volatile long progress = System.nanoTime();
    /** What a commit that succeeded has promised. */
    private final Map<TopicPartition, Long> promised = new ConcurrentHashMap<>();
    /** How often the second member has been asked to leave; it comes back. */
    private volatile int leave;
    private volatile boolean done;

    private Soak(String address, String[] arguments) {
        this.address = address;
        protocol = arguments[1];
        fixed = arguments[2].equals("static");
        records = Integer.parseInt(arguments[4]);
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(Path.of(arguments[0]), arguments[3].equals("shard"));
        Soak soak = new Soak(broker.address(), arguments);
        soak.run(broker);
        broker.stop();
        System.exit(0);
    }

    private void run(Broker broker) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
        }
        Thread producer = new Thread(() -> guarded(this::produce));
        Thread steady = new Thread(() -> guarded(() -> {
            while (!done && wrong.get() == null) consume(1, Integer.MAX_VALUE);
        }));
        Thread restless = new Thread(() -> guarded(() -> {
            while (!done && wrong.get() == null) consume(2, leave + 1);
        }));
        Thread watcher = new Thread(() -> guarded(this::watch));
        List<Thread> threads = List.of(producer, steady, restless, watcher);
        threads.forEach(Thread::start);
        awaitRead(records / 4);
        broker.kill();
        broker.start();
        awaitRead(records / 8 * 3);
        leave = 1;
        awaitRead(records / 2);
        broker.stop();
        broker.start();
        awaitRead(records / 4 * 3);
        leave = 2;
        awaitRead(records);
        producer.join();
        done = true;
        for (Thread thread : threads) thread.join(60_000);
        if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
        check(acked.get() == records, "acknowledged " + acked + " of " + records);
        int inLog = readLog();
        say("sent " + sent + " acked " + acked + " read " + readCount + " log " + inLog + " committed " + promised);
    }

    private void produce() throws Exception {
        Properties settings = settings();
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("delivery.timeout.ms", "120000");
        settings.put("linger.ms", "2");
        try (KafkaProducer<Integer, Integer> producer = new KafkaProducer<>(settings, new IntegerSerializer(), new IntegerSerializer())) {
            for (int number = 0; number < records && wrong.get() == null; number++) {
                // Not everything before the first kill.
                while (sent.get() > readCount + records / 4 && wrong.get() == null) Thread.sleep(1);
                sent.incrementAndGet();
                producer.send(new ProducerRecord<>(TOPIC, number % PARTITIONS, number, number), (where, failure) -> {
                    if (failure == null) acked.incrementAndGet();
                    else wrong.compareAndSet(null, failure);
                });
            }
        }
    }

    /** Until the member is asked to leave that many times. */
    private void consume(int member, int until) throws Exception {
        Properties settings = settings();
        settings.put("group.id", GROUP);
        settings.put("group.protocol", protocol);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        settings.put("client.id", "soaker-" + member);
        if (fixed) settings.put("group.instance.id", "soaker-" + member);
        if (protocol.equals("classic")) {
            settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
            settings.put("session.timeout.ms", "6000");
            settings.put("heartbeat.interval.ms", "500");
        }
        try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings, new IntegerDeserializer(), new IntegerDeserializer())) {
            consumer.subscribe(List.of(TOPIC), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    say("member " + member + " gets " + partitions);
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    say("member " + member + " gives " + partitions);
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> partitions) {
                    say("member " + member + " loses " + partitions);
                }
            });
            while (!done && leave < until && wrong.get() == null) {
                ConsumerRecords<Integer, Integer> batch;
                try {
                    batch = consumer.poll(Duration.ofMillis(200));
                } catch (IllegalStateException e) {
                    if (!CLIENT_RACE.equals(e.getMessage())) throw e;
                    say("member " + member + " starts anew: " + e.getMessage());
                    return;
                }
                if (batch.isEmpty()) continue;
                note(batch);
                try {
                    consumer.commitSync(batch.nextOffsets());
                    batch.nextOffsets().forEach((partition, offset) -> promised.merge(partition, offset.offset(), Math::max));
                } catch (CommitFailedException | RebalanceInProgressException | RetriableException e) {
                    say("member " + member + ": not committed: " + e.getMessage());
                }
            }
        }
    }

    private synchronized void note(Iterable<ConsumerRecord<Integer, Integer>> batch) {
        for (ConsumerRecord<Integer, Integer> record : batch) seen.set(record.value());
        int count = seen.cardinality();
        if (count > readCount) progress = System.nanoTime();
        readCount = count;
    }

    /** Asks again and again what is committed. */
    private void watch() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            while (!done && wrong.get() == null) {
                Map<TopicPartition, Long> floor = Map.copyOf(promised);
                Map<TopicPartition, OffsetAndMetadata> now;
                try {
                    now = admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get();
                } catch (java.util.concurrent.ExecutionException e) {
                    say("watcher: " + e.getCause());
                    continue;
                }
                floor.forEach((partition, least) -> {
                    OffsetAndMetadata offset = now.get(partition);
                    check(offset != null && offset.offset() >= least, partition + " was committed to " + least + " and is at " + offset);
                });
                now.forEach((partition, offset) -> { if (offset != null) promised.merge(partition, offset.offset(), Math::max); });
                Thread.sleep(20);
            }
        }
    }

    private void awaitRead(int count) throws InterruptedException {
        progress = System.nanoTime();
        while (readCount < count) {
            if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
            check(System.nanoTime() - progress < QUIET_NANOS_MAX, "nothing new for a minute after " + readCount + " of " + records + ", " + acked + " acknowledged");
            Thread.sleep(5);
        }
        say("read " + readCount + ", acknowledged " + acked);
    }

    /** Reads the whole log without a group: each record once, in the order sent. */
    private int readLog() {
        BitSet found = new BitSet();
        Map<Integer, Integer> last = new ConcurrentHashMap<>();
        Properties settings = settings();
        try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings, new IntegerDeserializer(), new IntegerDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(TOPIC).stream().map(p -> new TopicPartition(TOPIC, p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<Integer, Integer> record : consumer.poll(Duration.ofSeconds(5))) {
                    check(!found.get(record.value()), "record " + record.value() + " is twice in the log, again at " + record.partition() + ":" + record.offset());
                    Integer before = last.put(record.partition(), record.value());
                    check(before == null || before < record.value(), "record " + record.value() + " comes after " + before);
                    found.set(record.value());
                }
            }
        }
        check(found.cardinality() == records, "the log holds " + found.cardinality() + " of " + records);
        return found.cardinality();
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        settings.put("reconnect.backoff.max.ms", "200");
        return settings;
    }

    private void guarded(Step step) {
        try {
            step.run();
        } catch (Throwable e) {
            wrong.compareAndSet(null, e);
        }
    }

    private static void say(String what) {
        System.out.println(java.time.LocalTime.now() + " " + what);
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) throw new IllegalStateException(otherwise);
    }

    private interface Step {
        void run() throws Exception;
    }
}
