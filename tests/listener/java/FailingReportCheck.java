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
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkConf;

/**
 * Reports a job and, once that has come, another one, and prints which of them come. Argument: what fails at the first
 * one. {@code service}: the service, which wants to be left alone for a minute then. {@code memory}: there is none for
 * its answer.
 */
final class FailingReportCheck {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final BlockingQueue<JsonNode> received = new LinkedBlockingQueue<>();
    private final boolean serviceFails;

    private FailingReportCheck(boolean serviceFails) {
        this.serviceFails = serviceFails;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        new FailingReportCheck(arguments[0].equals("service")).run();
    }

    private void run() throws IOException, InterruptedException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::answer);
        server.start();
        SparkConf conf = new SparkConf(false);
        Map.of("service", "127.0.0.1", "port", "" + server.getAddress().getPort(), "applicationExecutionId", "check")
                .forEach((name, value) -> conf.set(ListenerSettings.PREFIX + name, value));
        ListenerSettings settings = ListenerSettings.from(conf, Map.of());
        Reporter reporter = new Reporter(new ServiceClient(settings), settings.restTimeout(), !serviceFails, body -> {
            throw new OutOfMemoryError("as if");
        }, new ExecutionLog("check"));
        reporter.start();
        for (int jobId = 0; jobId < 2; jobId++) {
            var event = MAPPER.createObjectNode().put("job_id", jobId);
            event.putObject("updates");
            reporter.submit(Report.jobEnd(jobId, event));
            JsonNode arrived = received.poll(20, TimeUnit.SECONDS);
            System.out.println(arrived == null ? "nothing" : "job " + arrived.get("job_id"));
        }
        reporter.close(Duration.ZERO);
        server.stop(0);
    }

    private void answer(HttpExchange exchange) throws IOException {
        JsonNode event = MAPPER.readTree(exchange.getRequestBody());
        boolean fails = serviceFails && event.get("job_id").intValue() == 0;
        exchange.getResponseHeaders().set("Retry-After", "60");
        exchange.sendResponseHeaders(fails ? 500 : 204, -1);
        exchange.close();
        received.add(event);
    }
}
