package org.enelservice.listener;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.apache.spark.SparkConf;

/** Reports a job whose stage has an endless reason to fail, and prints how long it is in the report. */
final class TextCheck {

    public static void main(String[] arguments) {
        SparkConf conf = new SparkConf(false);
        Map.of("service", "127.0.0.1", "port", "5000", "applicationExecutionId", "check")
                .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
        ScaleOutSpan scaleOuts = new ScaleOutSpan(1, 1, 0.0);
        StageRecord stage = new StageRecord(0, "stage", 0, 1, 1, List.of(), "x".repeat(1_000_000), 0, 1,
                scaleOuts, 0, 0, 0, 0, new StageMetrics(0, 0, 0, 0, 0));
        JobRecord job = new JobRecord(7, 0, 1, false, scaleOuts, OptionalInt.empty(), new TreeMap<>(Map.of(0, stage)));
        EventJson json = new EventJson(ListenerSettings.from(conf, Map.of()), () -> "spark-1");
        JsonNode told = Report.jobEnd(7, json.jobEnd(job)).event().at("/updates/stages/0");
        System.out.println(told.get("failure_reason").textValue().length());
    }
}
