package org.enelservice.listener;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpConnectTimeoutException;
import java.time.Duration;
import java.util.Comparator;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/**
 * Brings reports to the service on its own daemon thread, one at a time, until each is delivered or refused.
 *
 * <p>Policy:
 * <ul>
 * <li>Reports leave in the order in which they came. One that the service fails on by itself (a 500, a
 *     timeout, a connection that breaks off twice) steps behind the others, so that it cannot hold them back
 *     for ever.
 * <li>No answer, 408, 429 and 5xx are tried again, after pauses that grow but never end the trying; as long as the
 *     service fails on one report alone, the others do not wait for it. Any other status is final. So is a 503 that
 *     says the event is stored: only the recommendation is missing.
 * <li>Only the newest job end asks for a prediction: for the older ones the jobs to come have already run. A
 *     request that failed in the service itself is repeated without the question, as what has to arrive is
 *     the report.
 * <li>What was refused or dropped is counted, and the reports that follow say how many.
 * <li>A full queue gives up its oldest job ends, but for the one that is under way: it may arrive all the same.
 *     It is full by number or by size: iterative jobs list thousands of stages each. The start of the
 *     application is never given up.
 * <li>Once the application ends nothing is asked any more, and {@link #close} limits what is left to do.
 * </ul>
 */
final class Reporter {

    private static final int CAPACITY = 4096;
    private static final int CAPACITY_BYTES = 32 * 1024 * 1024;
    private static final long LONGEST_PAUSE_WHILE_CLOSING = TimeUnit.SECONDS.toNanos(1);

    /** A report in the queue; {@code setbacks} counts failures that were its own and not an outage's. */
    private record Queued(Report report, long sequence, int setbacks) {

        static final Comparator<Queued> ORDER =
                Comparator.comparingInt(Queued::setbacks).thenComparingLong(Queued::sequence);

        Queued setBack() {
            return new Queued(report, sequence, setbacks + 1);
        }
    }

    private final ServiceClient client;
    private final Duration restTimeout;
    private final Consumer<String> recommendations;
    private final ExecutionLog log;
    private final ObjectMapper mapper = new ObjectMapper();
    private final Thread thread = new Thread(this::run, "enel-reporter");

    // Guarded by this object's monitor.
    private final TreeSet<Queued> queue = new TreeSet<>(Queued.ORDER);
    private long queuedBytes;
    private long nextSequence;
    private long newestJobEnd = -1;
    private Queued underWay;
    private int failuresInARow;
    /** Sequence of the report that failed last, and whether all failures in a row were its own. */
    private long failing;
    private boolean onlyItFails;
    private boolean attempted;
    private long notBefore = System.nanoTime();
    private long dropped;
    private long refused;
    private boolean predicting;
    private boolean asking;
    private boolean closing;
    private long closeDeadline;

    /** Sequence of the report whose exchange has broken off last; only touched by the thread. */
    private long brokenOff = -1;

    /**
     * @param predicting whether job ends ask for a prediction
     * @param recommendations takes the body of every answer to such a question
     */
    Reporter(ServiceClient client, Duration restTimeout, boolean predicting, Consumer<String> recommendations,
            ExecutionLog log) {
        this.client = client;
        this.restTimeout = restTimeout;
        this.predicting = predicting;
        this.recommendations = recommendations;
        this.log = log;
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    /** Queues a report and returns at once. */
    synchronized void submit(Report report) {
        if (report.size() > CAPACITY_BYTES) {
            // All others would have to go for it, and no service takes as much.
            dropped++;
            log.warn("{} has {} bytes, which is too much to be sent", report, report.size());
            return;
        }
        while (isFullFor(report) && dropOldestJobEnd()) {
            log.warnOnce("full queue", "{} reports of {} bytes wait to be sent, the oldest job ends are dropped",
                    queue.size(), queuedBytes);
        }
        if (report.endsJob()) {
            newestJobEnd = nextSequence;
        }
        queue.add(new Queued(report, nextSequence++, 0));
        queuedBytes += report.size();
        notifyAll();
    }

    private boolean isFullFor(Report report) {
        return queue.size() >= CAPACITY || queuedBytes + report.size() > CAPACITY_BYTES;
    }

    /** Returns whether there was one. */
    private boolean dropOldestJobEnd() {
        Optional<Queued> oldest = queue.stream()
                .filter(queued -> queued.report().endsJob() && queued != underWay)
                .min(Comparator.comparingLong(Queued::sequence));
        oldest.ifPresent(queued -> {
            remove(queued);
            dropped++;
        });
        return oldest.isPresent();
    }

    private void remove(Queued queued) {
        if (queue.remove(queued)) {
            queuedBytes -= queued.report().size();
        }
    }

    /**
     * Asks for nothing any more. A question under way is given up and its report sent again without it, since
     * the service needs much longer for a prediction than for storing a report.
     */
    synchronized void stopPredictions() {
        predicting = false;
        if (asking) {
            client.cancelExchange();
        }
    }

    /** Sends what is queued, for at most the given time; what is left then is lost. */
    void close(Duration timeout) throws InterruptedException {
        synchronized (this) {
            closing = true;
            stopPredictions();
            closeDeadline = System.nanoTime() + timeout.toNanos();
            notBefore = System.nanoTime();
            notifyAll();
        }
        thread.join(Math.max(1, timeout.toMillis()));
        thread.interrupt();
        synchronized (this) {
            if (!queue.isEmpty() && !attempted) {
                // The reason of a failure is told when an attempt ends, and none has: a slow machine, or a service
                // that accepts connections and says nothing.
                log.warn("{} could not be delivered before the end: the first attempt has had no answer",
                        queue.first().report());
            }
            if (!queue.isEmpty() || dropped > 0 || refused > 0) {
                log.warn("{} reports did not reach the service before the end, {} were dropped, {} refused",
                        queue.size(), dropped, refused);
            }
        }
    }

    private void run() {
        try {
            for (Queued queued = next(); queued != null; queued = next()) {
                try {
                    deliver(queued);
                } catch (OutOfMemoryError scarce) {
                    // The application may have needed all of it for a moment. Without this thread no report would ever
                    // leave again.
                    failed(queued, false, scarce.toString(), Duration.ZERO);
                }
            }
        } catch (InterruptedException closed) {
            // Only close() interrupts, after its time is over.
            Thread.currentThread().interrupt();
        }
    }

    /** The report to try now, which stays in the queue; {@code null} when there is nothing left to do. */
    private synchronized Queued next() throws InterruptedException {
        underWay = null;
        while (true) {
            long now = System.nanoTime();
            if (closing && (queue.isEmpty() || now - closeDeadline >= 0)) {
                return null;
            }
            if (queue.isEmpty()) {
                wait();
            } else if (notBefore - now > 0 && !isSparedThePause(queue.first())) {
                long limit = closing ? Math.min(notBefore, closeDeadline) : notBefore;
                TimeUnit.NANOSECONDS.timedWait(this, Math.max(limit - now, TimeUnit.MILLISECONDS.toNanos(1)));
            } else {
                underWay = queue.first();
                return underWay;
            }
        }
    }

    private boolean isSparedThePause(Queued queued) {
        return onlyItFails && queued.sequence() != failing;
    }

    private void deliver(Queued queued) throws InterruptedException {
        boolean predict;
        Duration timeout;
        synchronized (this) {
            predict = predicting && queued.report().endsJob() && queued.sequence() == newestJobEnd
                    && queued.setbacks() == 0;
            asking = predict;
            timeout = closing ? min(restTimeout, Duration.ofNanos(closeDeadline - System.nanoTime())) : restTimeout;
        }
        ServiceClient.Answer answer;
        try {
            answer = post(queued.report(), predict, timeout);
        } catch (CancellationException ended) {
            return;
        } catch (TimeoutException late) {
            failed(queued, true, "no answer within " + timeout, Duration.ZERO);
            return;
        } catch (IOException unreachable) {
            failed(queued, breaksOffAgain(queued, unreachable), unreachable.toString(), Duration.ZERO);
            return;
        } catch (RuntimeException | LinkageError unexpected) {
            // Trying the same again would fail the same way.
            log.warn("{} cannot be sent", queued.report(), unexpected);
            refused(queued);
            return;
        } finally {
            synchronized (this) {
                asking = false;
            }
        }
        judge(queued, answer, predict);
    }

    private ServiceClient.Answer post(Report report, boolean predict, Duration timeout)
            throws IOException, InterruptedException, TimeoutException {
        ObjectNode event = report.event();
        synchronized (this) {
            EventJson.putLost(event, refused, dropped);
        }
        if (!report.endsJob()) {
            return client.postUpdate(Report.bytes(event), timeout);
        }
        event.put("predict", predict);
        return client.postPrediction(Report.bytes(event), timeout, () -> predict && !isPredicting());
    }

    private synchronized boolean isPredicting() {
        return predicting;
    }

    /**
     * Whether a report's exchange has broken off twice in a row: then it may be this report that the service, or what
     * lies before it, breaks on. Where no connection comes about, it is the service that is away.
     */
    private boolean breaksOffAgain(Queued queued, IOException failure) {
        if (failure instanceof ConnectException || failure instanceof HttpConnectTimeoutException) {
            return false;
        }
        boolean again = brokenOff == queued.sequence();
        brokenOff = queued.sequence();
        return again;
    }

    private void judge(Queued queued, ServiceClient.Answer answer, boolean predict) {
        int status = answer.status();
        if (status >= 200 && status < 300) {
            done(queued);
            answered();
            if (predict) {
                log.guard("applying a recommendation", () -> recommendations.accept(answer.body()));
            }
        } else if (status == 503 && isStored(answer.body())) {
            log.warnOnce("no model", "{} is stored, but the service cannot recommend anything now: {}",
                    queued.report(), ExecutionLog.detail(answer.body()));
            done(queued);
            answered();
        } else if (status >= 500 || status == 429 || status == 408) {
            boolean outage = status == 503 || status == 502 || status == 504 || status == 429;
            failed(queued, !outage, "status " + status + " " + ExecutionLog.detail(answer.body()), answer.retryAfter());
        } else if (status == 401 || status == 403) {
            log.warnOnce("refused token", "the service refuses reports with status {}, the application runs on"
                    + " without them; the token is expected in the driver's environment as {}: {}", status,
                    ListenerSettings.TOKEN_VARIABLE, ExecutionLog.detail(answer.body()));
            refused(queued);
            answered();
        } else if (status == 422 && queued.report().endsApplication()) {
            log.info("the service is older than this plugin, and does not take the application's end");
            done(queued);
            answered();
        } else {
            log.warnOnce("refused " + status, "{} was refused with status {}: {}", queued.report(), status,
                    ExecutionLog.detail(answer.body()));
            refused(queued);
            answered();
        }
    }

    /** Whether the service has stored the event and only misses what it would recommend with. */
    private boolean isStored(String body) {
        try {
            return mapper.readTree(body).path("stored").asBoolean(false);
        } catch (JsonProcessingException notOurs) {
            return false;
        }
    }

    private synchronized void done(Queued queued) {
        attempted = true;
        remove(queued);
    }

    private synchronized void refused(Queued queued) {
        refused++;
        done(queued);
    }

    private synchronized void answered() {
        if (failuresInARow > 0) {
            log.info("the service answers again after {} failures", failuresInARow);
        }
        failuresInARow = 0;
        notBefore = System.nanoTime();
    }

    /** Schedules the next attempt. */
    private synchronized void failed(Queued queued, boolean ownFault, String reason, Duration retryAfter) {
        attempted = true;
        boolean first = failuresInARow == 0;
        failuresInARow++;
        onlyItFails = ownFault && (first || onlyItFails && failing == queued.sequence());
        failing = queued.sequence();
        long pause = Backoff.pause(failuresInARow, retryAfter).toNanos();
        notBefore = System.nanoTime() + (closing ? Math.min(pause, LONGEST_PAUSE_WHILE_CLOSING) : pause);
        if (ownFault) {
            queue.remove(queued);
            queue.add(queued.setBack());
        }
        if (failuresInARow == 1) {
            log.warn("{} could not be delivered and is tried again: {}", queued.report(), reason);
        } else {
            log.debug("{} could not be delivered, failure {} in a row: {}", queued.report(), failuresInARow, reason);
        }
    }

    private static Duration min(Duration one, Duration other) {
        return one.compareTo(other) < 0 ? one : other;
    }
}
