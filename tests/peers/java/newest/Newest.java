import java.time.Duration;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.IntegerDeserializer;
import org.apache.kafka.common.serialization.IntegerSerializer;

/** What a program on the newest kafka-clients does. Arguments: address door records. */
final class Newest {
    private static final int PARTITIONS = 3;

    public static void main(String[] arguments) throws Exception {
        String topic = "newest-" + arguments[1];
        int records = Integer.parseInt(arguments[2]);
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1).configs(Map.of("retention.ms", "3600000")))).all().get(30, TimeUnit.SECONDS);
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) produce(settings, topic, codec, records);
            for (String protocol : List.of("classic", "consumer")) {
                consume(settings, topic, protocol, records * 5);
                int offsets = admin.listConsumerGroupOffsets(topic + "-" + protocol).partitionsToOffsetAndMetadata().get()
                    .values().stream().mapToInt(offset -> (int) offset.offset()).sum();
                check(offsets == records * 5, "committed " + offsets);
            }
            administer(admin, topic, records * 5);
        }
        System.out.println("whole");
    }

    private static void produce(Properties base, String topic, String codec, int records) throws Exception {
        Properties settings = new Properties();
        settings.putAll(base);
        settings.put("enable.idempotence", "true");
        settings.put("acks", "all");
        settings.put("compression.type", codec);
        int[] acked = {0};
        try (KafkaProducer<Integer, Integer> producer = new KafkaProducer<>(settings, new IntegerSerializer(), new IntegerSerializer())) {
            for (int number = 0; number < records; number++) {
                ProducerRecord<Integer, Integer> record = new ProducerRecord<>(topic, number, number);
                record.headers().add("codec", codec.getBytes());
                producer.send(record, (where, failure) -> {
                    if (failure == null && where.hasOffset()) acked[0]++;
                });
            }
            producer.flush();
        }
        check(acked[0] == records, "acknowledged " + acked[0] + " of " + records + " with " + codec);
    }

    private static void consume(Properties base, String topic, String protocol, int expected) {
        Properties settings = new Properties();
        settings.putAll(base);
        settings.put("group.id", topic + "-" + protocol);
        settings.put("group.protocol", protocol);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        BitSet[] places = new BitSet[PARTITIONS];
        for (int index = 0; index < PARTITIONS; index++) places[index] = new BitSet();
        int read = 0;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(40);
        try (KafkaConsumer<Integer, Integer> consumer = new KafkaConsumer<>(settings, new IntegerDeserializer(), new IntegerDeserializer())) {
            consumer.subscribe(Set.of(topic));
            while (read < expected && System.nanoTime() < end) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    check(!places[record.partition()].get((int) record.offset()), "read twice: " + record);
                    check(record.headers().lastHeader("codec") != null && record.key().equals(record.value()), "not what was sent: " + record);
                    places[record.partition()].set((int) record.offset());
                    read++;
                }
            }
            consumer.commitSync();
        }
        check(read == expected, "read " + read + " of " + expected + " by the protocol " + protocol);
    }

    private static void administer(Admin admin, String topic, int records) throws Exception {
        check(admin.describeCluster().nodes().get().size() > 0, "no broker");
        check(admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == PARTITIONS, "partitions");
        TopicPartition first = new TopicPartition(topic, 0);
        long end = admin.listOffsets(Map.of(first, OffsetSpec.latest())).partitionResult(first).get().offset();
        check(end > 0 && end <= records, "the end is " + end);
        long newest = admin.listOffsets(Map.of(first, OffsetSpec.maxTimestamp())).partitionResult(first).get().offset();
        check(newest >= 0 && newest < end, "the newest is " + newest);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all().get();
        check(admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value().equals("7200000"), "retention.ms");
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(PARTITIONS + 2))).all().get();
        check(admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(end))).lowWatermarks().get(first).get().lowWatermark() == end, "low watermark");
        check(admin.listGroups().all().get().stream().anyMatch(group -> group.groupId().equals(topic + "-classic")), "group is not listed");
        check(admin.describeConsumerGroups(List.of(topic + "-consumer")).all().get().size() == 1, "group is not described");
        check(admin.describeProducers(List.of(first)).all().get().get(first).activeProducers().size() > 0, "producers");
        admin.deleteConsumerGroups(List.of(topic + "-classic", topic + "-consumer")).all().get();
        admin.deleteTopics(List.of(topic)).all().get();
    }

    private static void check(boolean holds, String otherwise) {
        if (!holds) throw new IllegalStateException(otherwise);
    }
}
