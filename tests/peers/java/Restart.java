import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;

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
import org.apache.kafka.common.message.OffsetForLeaderEpochRequestData;
import org.apache.kafka.common.message.OffsetForLeaderEpochResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.requests.OffsetsForLeaderEpochRequest;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.serialization.IntegerDeserializer;
import org.apache.kafka.common.serialization.IntegerSerializer;

/**
 * Two idempotent producers and a group of each protocol, with the client's own settings, while the broker comes back with two shards
 * instead of four after a kill -9, and with eight after a stop: every client goes on within 30 s as if nothing had been, nothing is
 * lost or twice in the log, no generation, member epoch or committed offset goes back, and the end of every leader epoch is known.
 *
 * Arguments: home node|shard.
 */
final class Restart {
    private static final String TOPIC = "moved";
    private static final List<String> PROTOCOLS = List.of("classic", "consumer");
    private static final int PARTITIONS = 16;
    private static final int PRODUCERS = 2;
    private static final int MEMBERS = 2;
    private static final int RECORDS_PER_MS = 3;
    private static final int PHASE_MS = 3_000;
    private static final long CARRY_ON_MS_MAX = 30_000;
    /** As in Soak: a race of the client of 4.3.1, after which a program has to start its consumer anew. */
    private static final String CLIENT_RACE = "Cannot set a new position without a valid current position";

    private final String address;
    private final AtomicReference<Throwable> wrong = new AtomicReference<>();
    private final AtomicIntegerArray sent = new AtomicIntegerArray(PRODUCERS);
    private final AtomicIntegerArray acked = new AtomicIntegerArray(PRODUCERS);
    private final AtomicInteger begunAnew = new AtomicInteger();
    private final Map<String, Group> groups = new HashMap<>();
    /** How often the classic group has been asked for another generation, so that it has more to lose than its first. */
    private volatile int rebalances;
    private volatile boolean sending = true;
    private volatile boolean reading = true;

    /** What the members of a group have seen. */
    private final class Group {
        final String protocol;
        final BitSet[] seen = {new BitSet(), new BitSet()};
        /** The highest number read, by producer and partition. */
        final AtomicIntegerArray newest = new AtomicIntegerArray(PRODUCERS * PARTITIONS);
        final Map<TopicPartition, Long> promised = new ConcurrentHashMap<>();
        final AtomicIntegerArray generations = new AtomicIntegerArray(MEMBERS);
        final AtomicInteger lost = new AtomicInteger();
        /** The epoch of the group that the broker assigns for. */
        volatile int groupEpoch;

        Group(String protocol) {
            this.protocol = protocol;
        }

        synchronized void note(Iterable<ConsumerRecord<Integer, Integer>> batch) {
            for (ConsumerRecord<Integer, Integer> record : batch) {
                seen[record.key()].set(record.value());
                newest.accumulateAndGet(record.key() * PARTITIONS + record.partition(), record.value(), Math::max);
            }
        }

        synchronized int count() {
            return seen[0].cardinality() + seen[1].cardinality();
        }
    }

    private Restart(String address) {
        this.address = address;
        PROTOCOLS.forEach(protocol -> groups.put(protocol, new Group(protocol)));
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(Path.of(arguments[0]), arguments[1].equals("shard"), 4, 8);
        new Restart(broker.address()).run(broker);
        broker.stop();
        System.exit(0);
    }

    private void run(Broker broker) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
            Map<TopicPartition, OffsetAndMetadata> beginning = new HashMap<>();
            for (int index = 0; index < PARTITIONS; index++) beginning.put(new TopicPartition(TOPIC, index), new OffsetAndMetadata(0));
            for (String protocol : PROTOCOLS) admin.alterConsumerGroupOffsets(protocol, beginning).all().get();
        }
        List<Thread> producers = IntStream.range(0, PRODUCERS).mapToObj(number -> begin(() -> produce(number))).toList();
        List<Thread> readers = new ArrayList<>();
        for (Group group : groups.values()) {
            for (int member = 0; member < MEMBERS; member++) {
                int number = member;
                readers.add(begin(() -> { while (reading && wrong.get() == null) consume(group, number); }));
            }
        }
        readers.add(begin(this::watch));
        awaitAll("at first");
        nextGeneration();
        broker.kill();
        broker.start(2);
        awaitAll("with 2 shards after a kill -9");
        nextGeneration();
        broker.stop();
        broker.start(8);
        awaitAll("with 8 shards after a stop");
        Thread.sleep(PHASE_MS);
        sending = false;
        for (Thread thread : producers) thread.join(60_000);
        int total = sent.get(0) + sent.get(1);
        long end = System.nanoTime() + 60_000_000_000L;
        while (groups.values().stream().anyMatch(group -> group.count() < total)) {
            check(System.nanoTime() < end, "read " + groups.get("classic").count() + " and " + groups.get("consumer").count() + " of " + total);
            holdOn();
        }
        reading = false;
        for (Thread thread : readers) thread.join(60_000);
        if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
        check(acked.get(0) + acked.get(1) == total, "acknowledged " + acked + " of " + sent);
        for (Group group : groups.values()) {
            check(group.lost.get() == 0, group.protocol + ": members lost their partitions " + group.lost + " times");
            say(group.protocol + ": generations " + group.generations + ", group epoch " + group.groupEpoch);
        }
        say(total + " records once in the log, " + checkLog(total) + " ends of epochs known, consumers begun anew " + begunAnew);
    }

    /** Waits until every producer and, in every partition, every group gets something done that was begun after this call. */
    private void awaitAll(String when) throws InterruptedException {
        long begin = System.nanoTime();
        int[] before = {sent.get(0), sent.get(1)}, ackedBefore = {acked.get(0), acked.get(1)};
        Map<String, Long> took = new TreeMap<>();
        while (took.size() < PRODUCERS + PROTOCOLS.size()) {
            long ms = (System.nanoTime() - begin) / 1_000_000;
            for (int number = 0; number < PRODUCERS; number++) {
                if (acked.get(number) > ackedBefore[number] && acked.get(number) > before[number]) took.putIfAbsent("producer " + number, ms);
            }
            for (Group group : groups.values()) {
                boolean all = true;
                for (int lane = 0; lane < PRODUCERS * PARTITIONS; lane++) all &= group.newest.get(lane) > before[lane / PARTITIONS];
                if (all) took.putIfAbsent("group " + group.protocol, ms);
            }
            check(ms < CARRY_ON_MS_MAX, when + ": after " + ms + " ms only " + took);
            holdOn();
        }
        say("go on " + when + ", ms: " + took + "; sent " + sent + ", acknowledged " + acked);
    }

    private void nextGeneration() throws InterruptedException {
        AtomicIntegerArray now = groups.get("classic").generations;
        int[] before = {now.get(0), now.get(1)};
        rebalances = rebalances + 1;
        long end = System.nanoTime() + CARRY_ON_MS_MAX * 1_000_000;
        Thread.sleep(PHASE_MS);
        while (now.get(0) <= before[0] || now.get(1) <= before[1]) {
            check(System.nanoTime() < end, "the classic group stays in generation " + now);
            holdOn();
        }
    }

    private void holdOn() throws InterruptedException {
        if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
        Thread.sleep(5);
    }

    private void produce(int number) throws Exception {
        try (KafkaProducer<Integer, Integer> producer = new KafkaProducer<>(settings(), new IntegerSerializer(), new IntegerSerializer())) {
            for (int next = 0; sending && wrong.get() == null; next++) {
                // A number of its own for every record; a restart does not let the queue grow without end.
                while (sending && sent.get(number) > acked.get(number) + 50_000) Thread.sleep(1);
                producer.send(new ProducerRecord<>(TOPIC, next % PARTITIONS, number, next), (where, failure) -> {
                    if (failure == null) acked.incrementAndGet(number);
                    else wrong.compareAndSet(null, failure);
                });
                sent.incrementAndGet(number);
                if (next % RECORDS_PER_MS == 0) Thread.sleep(1);
            }
        }
    }

    private void consume(Group group, int member) throws Exception {
        Properties settings = settings();
        settings.put("group.id", group.protocol);
        settings.put("group.protocol", group.protocol);
        // A position that the broker does not know any more is an error, not a new beginning.
        settings.put("auto.offset.reset", "none");
        settings.put("enable.auto.commit", "false");
        settings.put("client.id", group.protocol + "-" + member);
        try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings, new IntegerDeserializer(), new IntegerDeserializer())) {
            consumer.subscribe(List.of(TOPIC), new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                    say(group.protocol + " " + member + " gets " + partitions.size());
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                    say(group.protocol + " " + member + " gives " + partitions.size());
                }

                @Override
                public void onPartitionsLost(Collection<TopicPartition> partitions) {
                    say(group.protocol + " " + member + " loses " + partitions.size());
                    group.lost.incrementAndGet();
                }
            });
            int asked = rebalances;
            while (reading && wrong.get() == null) {
                if (group.protocol.equals("classic") && member == 0 && asked < rebalances) {
                    asked = rebalances;
                    consumer.enforceRebalance();
                }
                ConsumerRecords<Integer, Integer> batch;
                try {
                    batch = consumer.poll(Duration.ofMillis(200));
                } catch (IllegalStateException e) {
                    if (!CLIENT_RACE.equals(e.getMessage())) throw e;
                    begunAnew.incrementAndGet();
                    return;
                }
                int generation = consumer.groupMetadata().generationId(), before = group.generations.get(member);
                // Without one while it joins.
                if (generation > 0) {
                    check(generation >= before, group.protocol + " " + member + " was in generation " + before + " and is in " + generation);
                    group.generations.set(member, generation);
                }
                if (batch.isEmpty()) continue;
                group.note(batch);
                try {
                    consumer.commitSync(batch.nextOffsets());
                    batch.nextOffsets().forEach((partition, offset) -> group.promised.merge(partition, offset.offset(), Math::max));
                } catch (CommitFailedException | RebalanceInProgressException | RetriableException e) {
                    say(group.protocol + " " + member + ": not committed: " + e.getMessage());
                }
            }
        }
    }

    /** Asks again and again what is committed, and for the epoch of the group that the broker assigns for. */
    private void watch() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            while (reading && wrong.get() == null) {
                for (Group group : groups.values()) {
                    Map<TopicPartition, Long> floor = Map.copyOf(group.promised);
                    try {
                        var now = admin.listConsumerGroupOffsets(group.protocol).partitionsToOffsetAndMetadata().get();
                        floor.forEach((partition, least) -> {
                            OffsetAndMetadata offset = now.get(partition);
                            check(offset != null && offset.offset() >= least, partition + " was committed to " + least + " and is at " + offset);
                        });
                        if (group.protocol.equals("classic")) continue;
                        int epoch = admin.describeConsumerGroups(List.of(group.protocol)).all().get().get(group.protocol).groupEpoch().orElse(0);
                        check(epoch >= group.groupEpoch, "the group was in epoch " + group.groupEpoch + " and is in " + epoch);
                        group.groupEpoch = epoch;
                    } catch (java.util.concurrent.ExecutionException e) {
                        say("watcher: " + e.getCause());
                    }
                }
                Thread.sleep(20);
            }
        }
    }

    /** Reads the log without a group: each record once, each producer's in order; gives the number of epochs whose end was asked. */
    private int checkLog(int total) throws Exception {
        BitSet[] found = {new BitSet(), new BitSet()};
        Map<Integer, Integer> last = new HashMap<>();
        Map<TopicPartition, NavigableMap<Integer, Long>> ends = new HashMap<>();
        Map<TopicPartition, Long> logEnds;
        try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings(), new IntegerDeserializer(), new IntegerDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(TOPIC).stream().map(p -> new TopicPartition(TOPIC, p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            logEnds = consumer.endOffsets(all);
            while (logEnds.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<Integer, Integer> record : consumer.poll(Duration.ofSeconds(5))) {
                    String name = record.key() + ":" + record.value();
                    check(!found[record.key()].get(record.value()), name + " is twice in the log, again at " + record.partition() + ":" + record.offset());
                    found[record.key()].set(record.value());
                    Integer before = last.put(record.key() * PARTITIONS + record.partition(), record.value());
                    check(before == null || before < record.value(), name + " comes after " + before);
                    ends.computeIfAbsent(new TopicPartition(TOPIC, record.partition()), partition -> new TreeMap<>())
                        .put(record.leaderEpoch().orElseThrow(), record.offset() + 1);
                }
            }
        }
        check(found[0].cardinality() + found[1].cardinality() == total, "the log holds " + found[0].cardinality() + " and " + found[1].cardinality() + " of " + total);
        int asked = 0;
        for (var partition : ends.entrySet()) {
            check(partition.getValue().size() == 3, partition.getKey() + " has records of the epochs " + partition.getValue().keySet());
            for (var epoch : partition.getValue().entrySet()) {
                var answer = epochEnd(partition.getKey(), epoch.getKey());
                check(answer.errorCode() == 0 && answer.leaderEpoch() == epoch.getKey() && answer.endOffset() == epoch.getValue(),
                    partition.getKey() + ": epoch " + epoch.getKey() + " ends at " + epoch.getValue() + ", told was " + answer);
                asked++;
            }
        }
        return asked;
    }

    private OffsetForLeaderEpochResponseData.EpochEndOffset epochEnd(TopicPartition partition, int epoch) throws Exception {
        var topics = new OffsetForLeaderEpochRequestData.OffsetForLeaderTopicCollection();
        topics.add(new OffsetForLeaderEpochRequestData.OffsetForLeaderTopic().setTopic(partition.topic()).setPartitions(List.of(
            new OffsetForLeaderEpochRequestData.OffsetForLeaderPartition().setPartition(partition.partition()).setCurrentLeaderEpoch(-1).setLeaderEpoch(epoch))));
        short version = 4;
        ByteBuffer request = OffsetsForLeaderEpochRequest.Builder.forConsumer(topics).build(version)
            .serializeWithHeader(new RequestHeader(ApiKeys.OFFSET_FOR_LEADER_EPOCH, version, "judge", 1));
        String[] place = address.split(":");
        try (Socket socket = new Socket(place[0], Integer.parseInt(place[1]))) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(request.remaining());
            out.write(request.array(), request.arrayOffset() + request.position(), request.remaining());
            out.flush();
            DataInputStream in = new DataInputStream(socket.getInputStream());
            ByteBuffer response = ByteBuffer.wrap(in.readNBytes(in.readInt()));
            // The correlation id and no tags.
            response.position(5);
            return new OffsetForLeaderEpochResponseData(new ByteBufferAccessor(response), version).topics().iterator().next().partitions().get(0);
        }
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        return settings;
    }

    private Thread begin(Step step) {
        Thread thread = new Thread(() -> {
            try {
                step.run();
            } catch (Throwable e) {
                wrong.compareAndSet(null, e);
            }
        });
        // One that hangs must not keep a failed run.
        thread.setDaemon(true);
        thread.start();
        return thread;
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
