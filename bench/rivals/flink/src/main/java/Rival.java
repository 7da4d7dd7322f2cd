import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableEnvironment;

/**
 * The rivals' task in Flink SQL, as its documentation advises: a Kafka table with a watermark, the TUMBLE table-valued function, one
 * statement set with both sinks. The source is bounded by the topic's end, so the job ends by itself.
 */
public final class Rival {
  private static String env(String name) {
    return System.getenv(name);
  }

  private static String sink(String name, String columns, String topic) {
    return "CREATE TABLE " + name + " (" + columns + ") WITH ('connector' = 'kafka', 'topic' = '" + topic + "', "
        + "'properties.bootstrap.servers' = '" + env("RIVAL_BROKERS") + "', 'key.format' = 'raw', 'key.fields' = 'device_id', "
        + "'value.format' = 'json')";
  }

  public static void main(String[] arguments) throws Exception {
    Configuration configuration = new Configuration();
    configuration.setString("parallelism.default", env("RIVAL_THREADS"));
    configuration.setString("table.local-time-zone", "UTC");
    configuration.setString("table.exec.mini-batch.enabled", "true");
    configuration.setString("table.exec.mini-batch.allow-latency", "500 ms");
    configuration.setString("table.exec.mini-batch.size", "20000");
    TableEnvironment tables =
        TableEnvironment.create(EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
    tables.executeSql(
        "CREATE TABLE frames (device_id STRING, time_ms BIGINT, speed_mps DOUBLE, battery_soc_pct DOUBLE, "
            + "event_time AS TO_TIMESTAMP_LTZ(time_ms, 3), WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND) "
            + "WITH ('connector' = 'kafka', 'topic' = '" + env("RIVAL_INPUT") + "', "
            + "'properties.bootstrap.servers' = '" + env("RIVAL_BROKERS") + "', 'properties.group.id' = '" + env("RIVAL_NAME") + "', "
            + "'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset', 'format' = 'json')");
    tables.executeSql(
        sink(
            "windows",
            "device_id STRING, window_start_ms BIGINT, frames BIGINT, speed_mean_mps DOUBLE, soc_min_pct DOUBLE",
            env("RIVAL_WINDOWS")));
    tables.executeSql(sink("events", "device_id STRING, window_start_ms BIGINT, soc_min_pct DOUBLE", env("RIVAL_EVENTS")));
    tables.executeSql(
        "CREATE TEMPORARY VIEW closed AS SELECT device_id, UNIX_TIMESTAMP(CAST(window_start AS STRING)) * 1000 AS window_start_ms, "
            + "COUNT(*) AS frames, AVG(speed_mps) AS speed_mean_mps, MIN(battery_soc_pct) AS soc_min_pct "
            + "FROM TABLE(TUMBLE(TABLE frames, DESCRIPTOR(event_time), INTERVAL '60' SECOND)) "
            + "GROUP BY device_id, window_start, window_end");
    StatementSet statements = tables.createStatementSet();
    statements.addInsertSql("INSERT INTO windows SELECT device_id, window_start_ms, frames, speed_mean_mps, soc_min_pct FROM closed");
    statements.addInsertSql(
        "INSERT INTO events SELECT device_id, window_start_ms, soc_min_pct FROM closed WHERE soc_min_pct < 15.0");
    System.out.println("READY");
    statements.execute().await();
  }
}
