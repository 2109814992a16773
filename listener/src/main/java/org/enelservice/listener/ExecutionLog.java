package org.enelservice.listener;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Log whose lines name the application execution, and the guard that keeps our failures in the log. */
final class ExecutionLog {

    private static final Logger LOGGER = LoggerFactory.getLogger("org.enelservice.listener");
    private static final int MAX_DETAIL_LENGTH = 300;

    private final String prefix;
    private final Set<String> alreadyTold = ConcurrentHashMap.newKeySet();

    ExecutionLog(String applicationExecutionId) {
        this.prefix = "[execution " + applicationExecutionId + "] ";
    }

    void debug(String format, Object... arguments) {
        LOGGER.debug(prefix + format, arguments);
    }

    void info(String format, Object... arguments) {
        LOGGER.info(prefix + format, arguments);
    }

    void warn(String format, Object... arguments) {
        LOGGER.warn(prefix + format, arguments);
    }

    /** Warns the first time a topic comes up; later lines about it are for debugging only. */
    void warnOnce(String topic, String format, Object... arguments) {
        if (alreadyTold.add(topic)) {
            warn(format, arguments);
        } else {
            debug(format, arguments);
        }
    }

    /**
     * Runs an action and keeps everything it throws away from Spark, except what leaves the virtual machine
     * unusable. Linkage errors stay here as well: they are what another Spark version would cause.
     */
    void guard(String what, Runnable action) {
        try {
            action.run();
        } catch (VirtualMachineError fatal) {
            throw fatal;
        } catch (Throwable failure) {
            warnOnce(what + failure.getClass().getName(), "{} failed, the application is not affected", what, failure);
        }
    }

    /** Shortens text that came from outside and takes line breaks out, so that it stays one harmless line. */
    static String detail(String text) {
        String line = text.replaceAll("\\p{Cntrl}+", " ").strip();
        return line.length() <= MAX_DETAIL_LENGTH ? line : line.substring(0, MAX_DETAIL_LENGTH) + "…";
    }
}
