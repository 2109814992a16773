package org.enelservice.listener;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/** A scale-out that the service recommends from a job on. */
record Recommendation(int jobId, int scaleOut) {

    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final String FIELD = "best_predicted_scale_out_per_job";
    /** No cluster is this large; a number beyond it is a fault of the service and not a wish to be clamped. */
    private static final int LARGEST_PLAUSIBLE_SCALE_OUT = 100_000;

    /**
     * Reads an answer of the service; empty when it recommends nothing.
     *
     * @throws IllegalArgumentException if the answer is not what the contract says. One wrong pair spoils the
     *     whole answer: who gets one wrong cannot be trusted with the others
     */
    static List<Recommendation> parse(String answer) {
        JsonNode pairs;
        try {
            pairs = MAPPER.readTree(answer).path(FIELD);
        } catch (JsonProcessingException malformed) {
            throw new IllegalArgumentException("it is not JSON", malformed);
        }
        if (!pairs.isArray()) {
            throw new IllegalArgumentException("it has no list " + FIELD);
        }
        List<Recommendation> recommendations = new ArrayList<>();
        for (JsonNode pair : pairs) {
            JsonNode jobId = pair.path(0);
            JsonNode scaleOut = pair.path(1);
            if (!pair.isArray() || !wholeNumber(jobId, 0, Integer.MAX_VALUE)
                    || !wholeNumber(scaleOut, 1, LARGEST_PLAUSIBLE_SCALE_OUT)) {
                throw new IllegalArgumentException("it recommends " + ExecutionLog.detail(pair.toString()));
            }
            recommendations.add(new Recommendation(jobId.intValue(), scaleOut.intValue()));
        }
        return recommendations;
    }

    /** The one for the first job that has not started yet. */
    static Optional<Recommendation> next(List<Recommendation> recommendations, int lastStartedJobId) {
        return recommendations.stream()
                .filter(recommendation -> recommendation.jobId() > lastStartedJobId)
                .min(Comparator.comparingInt(Recommendation::jobId));
    }

    private static boolean wholeNumber(JsonNode node, int lowest, int highest) {
        return node.isIntegralNumber() && node.canConvertToInt()
                && node.intValue() >= lowest && node.intValue() <= highest;
    }
}
