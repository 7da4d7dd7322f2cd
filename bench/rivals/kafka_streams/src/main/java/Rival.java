import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.TimestampExtractor;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The rivals' task in Kafka Streams, as its documentation advises: groupByKey (no repartition: the topic is keyed by vehicle),
 * windowedBy, aggregate, emit on window close. Jackson reads into a class, not a tree. It does not end by itself.
 */
public final class Rival {
  private static final double LOW_BATTERY_PCT = 15.0;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Frame {
    public String device_id;
    public long time_ms;
    public double speed_mps;
    public double battery_soc_pct;
  }

  public static final class Accumulator {
    public String device_id;
    public long frames;
    public double speed_sum_mps;
    public double soc_min_pct = Double.POSITIVE_INFINITY;

    Accumulator add(Frame frame) {
      device_id = frame.device_id;
      frames += 1;
      speed_sum_mps += frame.speed_mps;
      soc_min_pct = Math.min(soc_min_pct, frame.battery_soc_pct);
      return this;
    }

    Window close(long windowStartMs) {
      return new Window(device_id, windowStartMs, frames, speed_sum_mps / frames, soc_min_pct);
    }
  }

  public record Window(String device_id, long window_start_ms, long frames, double speed_mean_mps, double soc_min_pct) {}

  public record Event(String device_id, long window_start_ms, double soc_min_pct) {}

  public static final class EventTime implements TimestampExtractor {
    @Override
    public long extract(ConsumerRecord<Object, Object> record, long partitionTime) {
      return ((Frame) record.value()).time_ms;
    }
  }

  private static <T> Serde<T> json(Class<T> type) {
    ObjectReader reader = MAPPER.readerFor(type);
    ObjectWriter writer = MAPPER.writerFor(type);
    Serializer<T> serializer =
        (topic, value) -> {
          try {
            return value == null ? null : writer.writeValueAsBytes(value);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        };
    Deserializer<T> deserializer =
        (topic, bytes) -> {
          try {
            return bytes == null ? null : reader.readValue(bytes);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        };
    return Serdes.serdeFrom(serializer, deserializer);
  }

  public static void main(String[] arguments) {
    StreamsBuilder builder = new StreamsBuilder();
    Serde<Bytes> keys = Serdes.Bytes();
    KStream<Bytes, Window> windows =
        builder.stream(
                System.getenv("RIVAL_INPUT"), Consumed.with(keys, json(Frame.class)).withTimestampExtractor(new EventTime()))
            .groupByKey(Grouped.with(keys, json(Frame.class)))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(60), Duration.ofSeconds(5)))
            .emitStrategy(EmitStrategy.onWindowClose())
            .aggregate(
                Accumulator::new,
                (key, frame, into) -> into.add(frame),
                Materialized.<Bytes, Accumulator, WindowStore<Bytes, byte[]>>as("windows")
                    .withKeySerde(keys)
                    .withValueSerde(json(Accumulator.class))
                    .withCachingDisabled())
            .toStream()
            .map((windowed, into) -> KeyValue.pair(windowed.key(), into.close(windowed.window().start())));
    windows.to(System.getenv("RIVAL_WINDOWS"), Produced.with(keys, json(Window.class)));
    windows
        .filter((key, window) -> window.soc_min_pct() < LOW_BATTERY_PCT)
        .mapValues(window -> new Event(window.device_id(), window.window_start_ms(), window.soc_min_pct()))
        .to(System.getenv("RIVAL_EVENTS"), Produced.with(keys, json(Event.class)));

    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, System.getenv("RIVAL_NAME"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("RIVAL_BROKERS"));
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, System.getenv("RIVAL_THREADS"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("RIVAL_FOLDER"));
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    System.out.println("READY");
    streams.start();
  }
}
