import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.IntegerDeserializer;
import org.apache.kafka.common.serialization.IntegerSerializer;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupMemberMetadataValue;

/**
 * A group of consumers is rolled one by one from the classic to the consumer protocol and back while records come, and the broker is
 * killed and started again with members of both protocols in the group: all records are read, committed offsets never go back.
 *
 * Arguments: home dynamic|static cooperative|eager node|shard.
 */
final class Roll {
    private static final String TOPIC = "roll";
    private static final String GROUP = "rollers";
    private static final String OFFSETS = "__consumer_offsets";
    /** The version of the keys of what members of consumer groups say of themselves. */
    private static final short MEMBER_KEY = 5;
    private static final int SESSION_MS = 6000;
    private static final int PARTITIONS = 6;
    private static final int MEMBERS = 3;
    private static final long PATIENCE_NANOS = 45_000_000_000L;
    /** What the client of 4.3.1 throws where its background thread learns of a new leader epoch while a poll collects records. */
    private static final String CLIENT_RACE = "Cannot set a new position without a valid current position";

    private final String address;
    private final boolean fixed;
    private final String assignor;
    private final AtomicInteger sent = new AtomicInteger();
    private final AtomicInteger acked = new AtomicInteger();
    private final AtomicReference<Throwable> wrong = new AtomicReference<>();
    private final BitSet seen = new BitSet();
    private final Map<TopicPartition, Long> promised = new ConcurrentHashMap<>();
    private final List<Member> members = new ArrayList<>();
    private volatile boolean produced;
    private volatile boolean done;

    private Roll(String address, String[] arguments) {
        this.address = address;
        fixed = arguments[1].equals("static");
        assignor = arguments[2].equals("eager") ? "RangeAssignor" : "CooperativeStickyAssignor";
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(Path.of(arguments[0]), arguments[3].equals("shard"));
        Roll roll = new Roll(broker.address(), arguments);
        try {
            roll.run(broker);
            broker.stop();
        } catch (Throwable e) {
            // Members may still be at work.
            e.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run(Broker broker) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", address))) {
            admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 1))).all().get();
            Thread producer = start(this::produce);
            Thread watcher = start(() -> watch(admin));
            for (int number = 0; number < MEMBERS; number++) members.add(new Member(number, "classic"));
            await(admin, GroupType.CLASSIC, 0);
            for (int number = 0; number < MEMBERS; number++) {
                replace(number, "consumer");
                await(admin, GroupType.CONSUMER, number + 1);
                if (number == 0) checkRecords();
                if (number == 1) {
                    broker.kill();
                    broker.start();
                    await(admin, GroupType.CONSUMER, number + 1);
                }
            }
            for (int number = 0; number < MEMBERS; number++) {
                replace(number, "classic");
                int left = MEMBERS - 1 - number;
                await(admin, left == 0 ? GroupType.CLASSIC : GroupType.CONSUMER, left);
            }
            produced = true;
            producer.join();
            long begin = System.nanoTime();
            while (count() < acked.get()) {
                check(System.nanoTime() - begin < PATIENCE_NANOS, "read " + count() + " of " + acked);
                pause(20);
            }
            for (Member member : members) member.stop();
            done = true;
            watcher.join();
            if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
            check(acked.get() == sent.get() && acked.get() > 1000, "acknowledged " + acked + " of " + sent);
            say("sent " + sent + " acked " + acked + " read " + count() + " committed " + promised);
        }
    }

    /** A new member of the other protocol takes the place of one: of a static one it has the id. */
    private void replace(int number, String protocol) throws Exception {
        members.get(number).stop();
        members.set(number, new Member(number, protocol));
    }

    /** Waits until the group is of a type, with so many members of the consumer protocol, and each has an even share. */
    private void await(Admin admin, GroupType type, int consumers) throws Exception {
        long begin = System.nanoTime();
        String last = "nothing";
        while (true) {
            if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
            check(System.nanoTime() - begin < PATIENCE_NANOS, "no " + type + " group with " + consumers + " consumers: " + last);
            pause(50);
            ConsumerGroupDescription group;
            try {
                group = admin.describeConsumerGroups(List.of(GROUP)).all().get().get(GROUP);
            } catch (java.util.concurrent.ExecutionException e) {
                last = e.getCause().toString();
                continue;
            }
            last = group.toString();
            long upgraded = group.members().stream().filter(member -> member.upgraded().orElse(false)).count();
            boolean even = group.members().stream().allMatch(member -> size(member) == PARTITIONS / MEMBERS);
            if (group.type() == type && group.members().size() == MEMBERS && upgraded == consumers && even) break;
        }
        // And it reads on.
        int next = count() + 300;
        while (count() < next) {
            if (wrong.get() != null) throw new IllegalStateException("a client failed", wrong.get());
            check(System.nanoTime() - begin < PATIENCE_NANOS, "nothing is read: " + last);
            pause(20);
        }
        say(type + " with " + consumers + " consumers after " + (System.nanoTime() - begin) / 1_000_000 + " ms, read " + count());
    }

    /** What the broker keeps of a classic member in a consumer group is what Kafka's own reader takes for one. */
    private void checkRecords() {
        int found = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings(), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(OFFSETS).stream().map(p -> new TopicPartition(OFFSETS, p.partition())).toList();
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(5))) {
                    ByteBuffer key = ByteBuffer.wrap(record.key());
                    if (key.getShort() != MEMBER_KEY || record.value() == null) continue;
                    ByteBuffer value = ByteBuffer.wrap(record.value());
                    var member = new ConsumerGroupMemberMetadataValue(new ByteBufferAccessor(value), value.getShort());
                    var words = member.classicMemberMetadata();
                    if (words == null) continue;
                    check(words.sessionTimeoutMs() == SESSION_MS && member.subscribedTopicNames().equals(List.of(TOPIC)), "kept: " + member);
                    ByteBuffer subscription = ByteBuffer.wrap(words.supportedProtocols().get(0).metadata());
                    check(ConsumerProtocol.deserializeSubscription(subscription).topics().equals(List.of(TOPIC)), "kept: " + words);
                    found++;
                }
            }
        }
        check(found >= MEMBERS, "no more than " + found + " records of classic members");
    }

    private static int size(MemberDescription member) {
        return member.assignment().topicPartitions().size();
    }

    private void produce() throws Exception {
        Properties settings = settings();
        settings.put("acks", "all");
        settings.put("enable.idempotence", "true");
        settings.put("delivery.timeout.ms", "120000");
        try (KafkaProducer<Integer, Integer> producer = new KafkaProducer<>(settings, new IntegerSerializer(), new IntegerSerializer())) {
            while (!produced && wrong.get() == null) {
                int number = sent.getAndIncrement();
                producer.send(new ProducerRecord<>(TOPIC, number % PARTITIONS, number, number), (where, failure) -> {
                    if (failure == null) acked.incrementAndGet();
                    else wrong.compareAndSet(null, failure);
                });
                pause(1);
            }
        }
    }

    /** Asks again and again what is committed. */
    private void watch(Admin admin) throws Exception {
        while (!done && wrong.get() == null) {
            Map<TopicPartition, Long> floor = Map.copyOf(promised);
            Map<TopicPartition, OffsetAndMetadata> now;
            try {
                now = admin.listConsumerGroupOffsets(GROUP).partitionsToOffsetAndMetadata().get();
            } catch (java.util.concurrent.ExecutionException e) {
                say("watcher: " + e.getCause());
                pause(50);
                continue;
            }
            floor.forEach((partition, least) -> {
                OffsetAndMetadata offset = now.get(partition);
                check(offset != null && offset.offset() >= least, partition + " was committed to " + least + " and is at " + offset);
            });
            now.forEach((partition, offset) -> { if (offset != null) promised.merge(partition, offset.offset(), Math::max); });
            pause(20);
        }
    }

    /** A member in a thread of its own. */
    private final class Member {
        private final int number;
        private final String protocol;
        private final Thread thread;
        private volatile boolean over;

        Member(int number, String protocol) {
            this.number = number;
            this.protocol = protocol;
            thread = start(() -> { while (!over && wrong.get() == null) consume(); });
        }

        void stop() throws InterruptedException {
            over = true;
            thread.join(30_000);
            check(!thread.isAlive(), "member " + number + " of the " + protocol + " protocol does not end");
        }

        private void consume() {
            Properties settings = settings();
            settings.put("group.id", GROUP);
            settings.put("group.protocol", protocol);
            settings.put("auto.offset.reset", "earliest");
            settings.put("enable.auto.commit", "false");
            settings.put("client.id", "roller-" + number + "-" + protocol);
            if (fixed) settings.put("group.instance.id", "roller-" + number);
            if (protocol.equals("classic")) {
                settings.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor);
                settings.put("session.timeout.ms", "" + SESSION_MS);
                settings.put("heartbeat.interval.ms", "300");
            }
            try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings, new IntegerDeserializer(), new IntegerDeserializer())) {
                consumer.subscribe(List.of(TOPIC));
                while (!over && wrong.get() == null) {
                    ConsumerRecords<Integer, Integer> batch = consumer.poll(Duration.ofMillis(100));
                    if (batch.isEmpty()) continue;
                    note(batch);
                    try {
                        consumer.commitSync(batch.nextOffsets());
                        batch.nextOffsets().forEach((partition, offset) -> promised.merge(partition, offset.offset(), Math::max));
                    } catch (CommitFailedException | RebalanceInProgressException | RetriableException e) {
                        say("member " + number + " " + protocol + ": not committed: " + e.getMessage());
                    }
                }
            } catch (IllegalStateException e) {
                if (!CLIENT_RACE.equals(e.getMessage())) throw e;
                say("member " + number + " starts anew: " + e.getMessage());
            }
        }
    }

    private synchronized void note(Iterable<ConsumerRecord<Integer, Integer>> batch) {
        for (ConsumerRecord<Integer, Integer> record : batch) seen.set(record.value());
    }

    private synchronized int count() {
        return seen.cardinality();
    }

    private Properties settings() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", address);
        settings.put("reconnect.backoff.max.ms", "200");
        return settings;
    }

    private Thread start(Step step) {
        Thread thread = new Thread(() -> {
            try {
                step.run();
            } catch (Throwable e) {
                wrong.compareAndSet(null, e);
            }
        });
        thread.start();
        return thread;
    }

    private static void pause(long ms) throws InterruptedException {
        Thread.sleep(ms);
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
