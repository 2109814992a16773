package org.enelservice.listener;

import java.util.Map;
import org.apache.spark.SparkConf;

/** Prints for each argument, a setting with its value, whether it is taken, or why not. */
final class SettingCheck {

    public static void main(String[] settings) {
        for (String setting : settings) {
            String[] parts = setting.split("=", 2);
            SparkConf conf = new SparkConf(false);
            Map.of("service", "127.0.0.1", "port", "5000", "applicationExecutionId", "check", parts[0], parts[1])
                    .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
            System.out.println(said(conf));
        }
    }

    private static String said(SparkConf conf) {
        try {
            ListenerSettings.from(conf, Map.of());
            return "taken";
        } catch (IllegalArgumentException invalid) {
            return invalid.getMessage();
        }
    }
}
