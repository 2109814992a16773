package org.enelservice.listener;

import java.util.Map;
import org.apache.spark.SparkConf;

/** Prints for each limit of Spark's how many seconds executors that hand over are waited for. */
final class HandOverLimitCheck {

    public static void main(String[] limits) {
        for (String limit : limits) {
            SparkConf conf = new SparkConf(false).set("spark.executor.decommission.forceKillTimeout", limit);
            Map.of("service", "127.0.0.1", "port", "5000", "applicationExecutionId", "check")
                    .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
            System.out.println(ListenerSettings.from(conf, Map.of()).decommissionTimeout().toSeconds());
        }
    }
}
