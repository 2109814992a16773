package org.enelservice.listener;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How the classes that Spark's conf names come to the others. They and this one alone are compiled for Java 8, which
 * Spark 3.5 may run on: a class file that the virtual machine does not read would end the application.
 */
final class EntryPoint {

    private static final Logger LOGGER = LoggerFactory.getLogger("org.enelservice.listener");
    private static final int OLDEST_JAVA = 17;

    private EntryPoint() {
    }

    /**
     * Makes an instance of another class of ours.
     *
     * @param type of the only argument of its constructor, or {@code null} where it has none
     * @return {@code null}, with a line in the log, where it cannot work here
     */
    static Object create(String className, Class<?> type, Object argument) {
        String java = System.getProperty("java.specification.version", "");
        // Java 8 calls itself 1.8.
        if (java.startsWith("1.") || java.matches("\\d+") && Integer.parseInt(java) < OLDEST_JAVA) {
            LOGGER.warn("the listener is switched off, the application runs on without it: it needs Java {}, this is"
                    + " Java {}", OLDEST_JAVA, java);
            return null;
        }
        try {
            Class<?> found = Class.forName("org.enelservice.listener." + className);
            return type == null
                    ? found.getDeclaredConstructor().newInstance()
                    : found.getDeclaredConstructor(type).newInstance(argument);
        } catch (ReflectiveOperationException | LinkageError unusable) {
            LOGGER.warn("the listener is switched off, the application runs on without it: it does not fit this Spark",
                    unusable);
            return null;
        }
    }
}
