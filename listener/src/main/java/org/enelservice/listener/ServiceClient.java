package org.enelservice.listener;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;

/** Speaks HTTP with the service: one exchange at a time, bounded in time and size. */
final class ServiceClient {

    private static final int MAX_ANSWER_BYTES = 4 * 1024 * 1024;

    /**
     * What the service answered.
     *
     * @param retryAfter pause it asked for, zero if none
     */
    record Answer(int status, String body, Duration retryAfter) {
    }

    private final URI baseUrl;
    private final String token;
    private final String updatePath;
    private final String predictionPath;
    private final HttpClient http;
    private volatile CompletableFuture<?> exchange = CompletableFuture.completedFuture(null);
    private volatile CompletableFuture<?> cancelled;

    ServiceClient(ListenerSettings settings) {
        this.baseUrl = settings.baseUrl();
        this.token = settings.token();
        this.updatePath = settings.updateInformationEndpoint();
        this.predictionPath = settings.onlineScaleOutPredictionEndpoint();
        // No redirects: they would carry the token to wherever the answer points.
        this.http = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(settings.restTimeout())
                // On the thread that has read an answer: to hand each to a pool takes longer than what is done there.
                .executor(Runnable::run)
                .build();
    }

    Answer postUpdate(byte[] body, Duration timeout) throws IOException, InterruptedException, TimeoutException {
        return post(updatePath, body, timeout, () -> false);
    }

    /**
     * @param givenUp whether {@link #cancelExchange} was meant for this exchange, asked once it could be cancelled
     */
    Answer postPrediction(byte[] body, Duration timeout, BooleanSupplier givenUp)
            throws IOException, InterruptedException, TimeoutException {
        return post(predictionPath, body, timeout, givenUp);
    }

    /**
     * @param timeout bounds the whole exchange; {@code HttpRequest.timeout} would end with the headers, and a
     *     body that trickles in could then hold the caller for ever
     * @throws CancellationException if {@link #cancelExchange} was called meanwhile, or the exchange was given up
     */
    private Answer post(String path, byte[] body, Duration timeout, BooleanSupplier givenUp)
            throws IOException, InterruptedException, TimeoutException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(baseUrl + "/" + path))
                .header("Content-Type", "application/json")
                .header("Accept", "application/json")
                .header("User-Agent", "enel-listener")
                .POST(HttpRequest.BodyPublishers.ofByteArray(body));
        if (!token.isEmpty()) {
            request.header("Authorization", "Bearer " + token);
        }
        CompletableFuture<HttpResponse<byte[]>> sent = http.sendAsync(request.build(), head -> new BoundedBody());
        exchange = sent;
        if (givenUp.getAsBoolean()) {
            // Said while there was nothing to cancel yet, as the event was still being written.
            cancelExchange();
        }
        try {
            HttpResponse<byte[]> response = sent.get(Math.max(1, timeout.toMillis()), TimeUnit.MILLISECONDS);
            return new Answer(
                    response.statusCode(),
                    new String(response.body(), StandardCharsets.UTF_8),
                    response.headers().firstValue("Retry-After").map(ServiceClient::pause).orElse(Duration.ZERO));
        } catch (ExecutionException failure) {
            // A cancelled exchange may also end as an I/O error, whichever of the two is noticed first.
            if (cancelled == sent) {
                throw new CancellationException();
            }
            if (failure.getCause() instanceof IOException cause) {
                throw cause;
            }
            throw new IOException(failure.getCause());
        } finally {
            // Frees the connection after a timeout; does nothing after an answer.
            sent.cancel(true);
        }
    }

    /** Gives up the exchange that is under way, if any. */
    void cancelExchange() {
        cancelled = exchange;
        cancelled.cancel(true);
    }

    /** Reads both forms of Retry-After, seconds and a date; what cannot be read asks for no pause. */
    private static Duration pause(String retryAfter) {
        if (retryAfter.matches("\\d{1,9}")) {
            return Duration.ofSeconds(Long.parseLong(retryAfter));
        }
        try {
            ZonedDateTime until = ZonedDateTime.parse(retryAfter, DateTimeFormatter.RFC_1123_DATE_TIME);
            Duration pause = Duration.between(ZonedDateTime.now(until.getZone()), until);
            return pause.isNegative() ? Duration.ZERO : pause;
        } catch (DateTimeException unreadable) {
            return Duration.ZERO;
        }
    }

    @Override
    public String toString() {
        return baseUrl.toString();
    }

    /**
     * Collects an answer up to a size; the driver's memory is the application's, not ours to fill. What goes beyond is
     * cut: the status has come by then, and says what became of the report.
     */
    private static final class BoundedBody implements HttpResponse.BodySubscriber<byte[]> {

        private final CompletableFuture<byte[]> body = new CompletableFuture<>();
        private final ByteArrayOutputStream received = new ByteArrayOutputStream();
        private Flow.Subscription subscription;

        @Override
        public CompletionStage<byte[]> getBody() {
            return body;
        }

        @Override
        public void onSubscribe(Flow.Subscription accepted) {
            subscription = accepted;
            accepted.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(List<ByteBuffer> buffers) {
            for (ByteBuffer buffer : buffers) {
                if (received.size() + buffer.remaining() > MAX_ANSWER_BYTES) {
                    // In this order, or the cancellation would become the outcome.
                    body.complete(received.toByteArray());
                    subscription.cancel();
                    return;
                }
                byte[] bytes = new byte[buffer.remaining()];
                buffer.get(bytes);
                received.writeBytes(bytes);
            }
        }

        @Override
        public void onError(Throwable failure) {
            body.completeExceptionally(failure);
        }

        @Override
        public void onComplete() {
            body.complete(received.toByteArray());
        }
    }
}
