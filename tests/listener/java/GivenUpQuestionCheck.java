package org.enelservice.listener;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeoutException;
import org.apache.spark.SparkConf;

/** Asks a service that never answers what nobody wants to know any more, and prints how that ends. */
final class GivenUpQuestionCheck {

    public static void main(String[] arguments) throws IOException, InterruptedException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> { });
        server.start();
        SparkConf conf = new SparkConf(false);
        Map.of("service", "127.0.0.1", "port", "" + server.getAddress().getPort(), "applicationExecutionId", "check")
                .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
        ServiceClient client = new ServiceClient(ListenerSettings.from(conf, Map.of()));
        try {
            client.postPrediction("{}".getBytes(StandardCharsets.UTF_8), Duration.ofSeconds(10), () -> true);
        } catch (CancellationException givenUp) {
            System.out.println("given up");
        } catch (TimeoutException late) {
            System.out.println("waited for");
        }
        server.stop(0);
    }
}
