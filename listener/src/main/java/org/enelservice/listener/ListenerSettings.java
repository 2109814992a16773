package org.enelservice.listener;

import java.net.URI;
import java.time.Duration;
import java.util.Map;
import org.apache.spark.SparkConf;

/**
 * What Spark conf says about the listener, checked once.
 *
 * @param baseUrl where the service is, without a path
 * @param token bearer token, empty for none; it is a secret and therefore comes from the environment
 * @param initialExecutors scale-out the application starts with, 0 when unknown
 * @param maxExecutors upper bound of every rescaling, 0 when there is none and so no rescaling either
 * @param decommissionTimeout after which an executor that was to hand over what it holds is as if it stayed
 */
record ListenerSettings(
        URI baseUrl,
        String token,
        String updateInformationEndpoint,
        String onlineScaleOutPredictionEndpoint,
        String applicationExecutionId,
        boolean adaptive,
        int initialExecutors,
        int minExecutors,
        int maxExecutors,
        Duration restTimeout,
        Duration initialExecutorsTimeout,
        Duration flushTimeout,
        Duration busyExecutorGrace,
        Duration rosterGrace,
        Duration decommissionTimeout) {

    static final String PREFIX = "spark.customExtraListener.";
    static final String TOKEN_VARIABLE = "ENEL_CALLBACK_TOKEN";
    /** Spark's: when it kills executors that have not handed over what they hold. */
    private static final String FORCE_KILL_TIMEOUT = "spark.executor.decommission.forceKillTimeout";
    /** How long an accepted kill may take before the executor counts as staying after all. */
    static final Duration KILLED_WITHIN = Duration.ofSeconds(60);
    private static final String NO_HOST = "must be a host name or address, without underscores";

    /**
     * Reads the settings.
     *
     * @throws IllegalArgumentException if a setting is missing or invalid; the message names it and never
     *     contains the token
     */
    static ListenerSettings from(SparkConf conf, Map<String, String> environment) {
        String method = text(conf, "method", "http").toLowerCase(java.util.Locale.ROOT);
        if (!method.equals("https")) {
            method = "http"; // submissions of other origin name the kind of tuner here
        }
        int port = integer(conf, "port", 0);
        require(port > 0 && port < 65536, "port", "must be between 1 and 65535");
        String service = required(conf, "service");
        require(service.matches("[A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+]"), "service", NO_HOST);
        URI baseUrl = baseUrl(method, service, port);

        String executionId = required(conf, "applicationExecutionId");
        require(executionId.matches("[\\w.:-]{1,200}"), "applicationExecutionId", "has unexpected characters");

        int initialExecutors = integer(conf, "initialExecutors",
                conf.getInt("spark.dynamicAllocation.initialExecutors", 0));
        int minExecutors = integer(conf, "minExecutors", 1);
        // Without an upper bound of our own, dynamic allocation's serves; Spark itself would not enforce it on us.
        int maxExecutors = integer(conf, "maxExecutors", conf.getInt("spark.dynamicAllocation.maxExecutors", 0));
        require(minExecutors > 0, "minExecutors", "must be positive");
        require(maxExecutors == 0 || maxExecutors >= minExecutors, "maxExecutors", "must not be below minExecutors");

        String token = environment.getOrDefault(TOKEN_VARIABLE, "").strip();
        if (!token.matches("[\\x21-\\x7e]*")) {
            throw new IllegalArgumentException(TOKEN_VARIABLE + " has characters that no HTTP header may have");
        }
        return new ListenerSettings(
                baseUrl,
                token,
                endpoint(conf, "updateInformationEndpoint", "training/update_information"),
                endpoint(conf, "onlineScaleOutPredictionEndpoint", "prediction/online_scale_out_prediction"),
                executionId,
                bool(conf, "isAdaptive"),
                initialExecutors,
                minExecutors,
                maxExecutors,
                duration(conf, "restTimeout", "30s", 1),
                duration(conf, "initialExecutorsTimeout", "30s", 0),
                duration(conf, "flushTimeout", "15s", 0),
                duration(conf, "busyExecutorGrace", "15s", 0),
                duration(conf, "rosterGrace", "30s", 0),
                handOverLimit(conf).plus(KILLED_WITHIN));
    }

    private static Duration handOverLimit(SparkConf conf) {
        // As good as for ever, as in duration().
        return Duration.ofSeconds(Math.min(conf.getTimeAsSeconds(FORCE_KILL_TIMEOUT, "1h"), 86_400));
    }

    /** Whether recommendations may be applied: the run is adaptive and it is known how far to go. */
    boolean canRescale() {
        return adaptive && maxExecutors > 0;
    }

    private static String text(SparkConf conf, String name, String fallback) {
        String value = conf.get(PREFIX + name, "").strip();
        return value.isEmpty() ? fallback : value;
    }

    private static String required(SparkConf conf, String name) {
        String value = text(conf, name, "");
        require(!value.isEmpty(), name, "is missing");
        return value;
    }

    private static int integer(SparkConf conf, String name, int fallback) {
        String value = text(conf, name, "");
        if (value.isEmpty()) {
            return fallback;
        }
        try {
            return Integer.parseInt(value);
        } catch (NumberFormatException invalid) {
            throw invalid(name, "must be a whole number");
        }
    }

    private static boolean bool(SparkConf conf, String name) {
        String value = text(conf, name, "false");
        require(value.equalsIgnoreCase("true") || value.equalsIgnoreCase("false"), name, "must be true or false");
        return Boolean.parseBoolean(value);
    }

    /**
     * @param leastMillis the shortest time that makes sense
     */
    private static Duration duration(SparkConf conf, String name, String fallback, long leastMillis) {
        String value = text(conf, name, fallback);
        long millis;
        try {
            // Manifests in the field give plain seconds, which Spark would read as milliseconds.
            millis = value.matches("\\d+(\\.\\d+)?")
                    ? Math.round(Double.parseDouble(value) * 1000)
                    : new SparkConf(false).set(PREFIX + name, value).getTimeAsMs(PREFIX + name);
        } catch (IllegalArgumentException unreadable) {
            throw invalid(name, "must be seconds or a time such as 5s or 500ms");
        }
        require(millis >= leastMillis, name, leastMillis > 0 ? "must be positive" : "must not be negative");
        // A day is as good as for ever, and keeps sums of durations away from overflow.
        return Duration.ofMillis(Math.min(Math.max(millis, 1), Duration.ofDays(1).toMillis()));
    }

    /** A name with an underscore, among others, is no host to a URI, and no request could be made for it. */
    private static URI baseUrl(String method, String service, int port) {
        try {
            URI url = URI.create(method + "://" + service + ":" + port);
            if (url.getHost() != null) {
                return url;
            }
        } catch (IllegalArgumentException noAddress) {
            // As for what is no host: the message of a URI names no setting.
        }
        throw invalid("service", NO_HOST);
    }

    /** Keeps escaped slashes: {@code training%2Fupdate_information} is sent as it is configured. */
    private static String endpoint(SparkConf conf, String name, String fallback) {
        String path = text(conf, name, fallback).replaceFirst("^/+", "");
        try {
            URI.create("http://host/" + path);
        } catch (IllegalArgumentException unreadable) {
            throw invalid(name, "is not a path");
        }
        return path;
    }

    private static void require(boolean condition, String name, String message) {
        if (!condition) {
            throw invalid(name, message);
        }
    }

    private static IllegalArgumentException invalid(String name, String message) {
        return new IllegalArgumentException(PREFIX + name + " " + message);
    }

    /** Leaves the token out, because records end up in logs. */
    @Override
    public String toString() {
        return "ListenerSettings[" + baseUrl + ", " + applicationExecutionId + "]";
    }
}
