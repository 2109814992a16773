package org.enelservice.listener;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.spark.SparkConf;

/**
 * Fills the queue while its first report is under way, and prints which reports the service then gets. Arguments: how
 * many reports come then, and how many characters each of them has beside its numbers.
 */
final class FullQueueCheck {

    private static final int TOLD = 3;

    private final BlockingQueue<JsonNode> received = new LinkedBlockingQueue<>();
    private final CountDownLatch mayAnswer = new CountDownLatch(1);

    public static void main(String[] arguments) throws IOException, InterruptedException {
        new FullQueueCheck().run(Integer.parseInt(arguments[0]), "x".repeat(Integer.parseInt(arguments[1])));
    }

    private void run(int reports, String text) throws IOException, InterruptedException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::answer);
        server.start();
        SparkConf conf = new SparkConf(false);
        Map.of("service", "127.0.0.1", "port", "" + server.getAddress().getPort(), "applicationExecutionId", "check")
                .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
        ListenerSettings settings = ListenerSettings.from(conf, Map.of());
        Reporter reporter = new Reporter(new ServiceClient(settings), settings.restTimeout(), false, body -> { },
                new ExecutionLog("check"));
        reporter.start();
        reporter.submit(jobEnd(0, text));
        tell(received.take());
        for (int jobId = 1; jobId <= reports; jobId++) {
            reporter.submit(jobEnd(jobId, text));
        }
        mayAnswer.countDown();
        for (int number = 1; number < TOLD; number++) {
            tell(received.take());
        }
        reporter.close(Duration.ZERO);
        server.stop(0);
    }

    private static Report jobEnd(int jobId, String text) {
        ObjectMapper mapper = new ObjectMapper();
        var event = mapper.createObjectNode().put("job_id", jobId);
        event.putObject("updates").put("job_result", text);
        return Report.jobEnd(jobId, event);
    }

    private static void tell(JsonNode event) {
        System.out.println("job " + event.get("job_id") + ", dropped "
                + event.get("updates").path("dropped_reports").asInt());
    }

    private void answer(HttpExchange exchange) throws IOException {
        received.add(new ObjectMapper().readTree(exchange.getRequestBody()));
        try {
            mayAnswer.await();
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
        exchange.sendResponseHeaders(204, -1);
        exchange.close();
    }
}
