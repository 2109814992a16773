package org.enelservice.listener;

import java.net.http.HttpRequest;
import java.util.Map;
import org.apache.spark.SparkConf;

/** Prints for each argument what the listener says of it as the host of the service: its URL, or why not. */
final class HostCheck {

    public static void main(String[] hosts) {
        for (String host : hosts) {
            SparkConf conf = new SparkConf(false);
            Map.of("service", host, "port", "5000", "applicationExecutionId", "check")
                    .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
            System.out.println(said(conf));
        }
    }

    private static String said(SparkConf conf) {
        ListenerSettings settings;
        try {
            settings = ListenerSettings.from(conf, Map.of());
        } catch (IllegalArgumentException invalid) {
            return invalid.getMessage();
        }
        return HttpRequest.newBuilder(settings.baseUrl()).build().uri().toString();
    }
}
