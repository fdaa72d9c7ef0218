// The stream of events: what happened at the servers, to every HTTP client that listens.
// MIT license; Copyright (c) 2026 the microlwm2m authors
// Server-sent events as the HTML standard has them; names and data as the Leshan demo server sends them.

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;

final class Events {
    private static final int BACKLOG = 10_000; // events a listener may lag behind before it is dropped

    private static final class Listener {
        final String ep; // null: every endpoint
        final BlockingQueue<String> queue = new ArrayBlockingQueue<>(BACKLOG);

        Listener(String ep) {
            this.ep = ep;
        }
    }

    private final List<Listener> listeners = new CopyOnWriteArrayList<>();

    void emit(String name, String ep, ObjectNode data) {
        String text = "event: " + name + "\ndata: " + data + "\n\n";
        for (Listener l : listeners) {
            if ((l.ep == null || l.ep.equals(ep)) && !l.queue.offer(text))
                listeners.remove(l);
        }
    }

    /** Holds the exchange until its client goes away. */
    void stream(HttpExchange exchange, String ep) throws IOException, InterruptedException {
        Listener listener = new Listener(ep);
        exchange.getResponseHeaders().set("Content-Type", "text/event-stream");
        exchange.sendResponseHeaders(200, 0);
        try (OutputStream out = exchange.getResponseBody()) {
            listeners.add(listener);
            write(out, ": listening\n\n"); // from here on nothing is missed
            while (listeners.contains(listener)) {
                String text = listener.queue.poll(10, TimeUnit.SECONDS);
                write(out, text == null ? ":\n\n" : text); // the empty comment finds out whether anyone is there
            }
        } catch (IOException gone) {
            // the client closed its end: the usual way out
        } finally {
            listeners.remove(listener);
        }
    }

    private static void write(OutputStream out, String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.flush();
    }
}
