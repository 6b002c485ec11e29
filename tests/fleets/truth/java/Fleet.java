import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadLocalRandom;

/**
 * What the Java services of the ground-truth fleets have in common: arguments, routes, what is forwarded, truth lines.
 * The services differ in which thread does what.
 */
final class Fleet {
    /** Where calls go, without a path. */
    final String backend;
    private final String variant;
    private final boolean timer;
    private final HttpServer server;

    /** A call that a route makes. */
    record Call(String method, String path, boolean dropsWhenBroken) {}

    /** The timer's call, made for no request. */
    static final Call CONFIG = new Call("GET", "/config", true);

    /** A request as it came in. */
    record Inbound(HttpExchange exchange, String route, String id, String query) {
        static Inbound of(HttpExchange exchange) {
            String[] parts = exchange.getRequestURI().getPath().split("/", 3);
            String query = exchange.getRequestURI().getQuery();
            return new Inbound(exchange, parts[1], parts.length > 2 ? parts[2] : "-", query == null ? "" : "?" + query);
        }

        boolean answersFirst() {
            return route.equals("late");
        }

        List<Call> calls() {
            return switch (route) {
                case "keep" -> List.of(new Call("GET", "/kept", false));
                case "drop" -> List.of(new Call("GET", "/dropped", true));
                case "fan" -> List.of(new Call("GET", "/a", false), new Call("GET", "/b", true), new Call("GET", "/c", false));
                case "late" -> List.of(new Call("POST", "/after", true));
                default -> List.of();
            };
        }

        void answer(int status) {
            try (exchange) {
                exchange.getRequestBody().readAllBytes();
                byte[] body = "ok\n".getBytes();
                exchange.sendResponseHeaders(status, body.length);
                exchange.getResponseBody().write(body);
            } catch (IOException gone) {
                // The client went away; that is the end of its request.
            }
        }
    }

    /** Reads `PORT BACKEND_PORT VARIANT [--no-timer]`. */
    Fleet(String[] args) throws IOException {
        backend = "http://127.0.0.1:" + args[1];
        variant = args[2];
        timer = args.length < 4 || !args[3].equals("--no-timer");
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(args[0])), 256);
    }

    /** What handles a request, on a thread of the server's executor. */
    interface Handler {
        void handle(Inbound inbound) throws Exception;
    }

    /** Makes a call and waits for it. */
    interface Client {
        /** Returns the backend's `X-Call`. */
        String call(Call call, String query, Map<String, String> headers) throws Exception;
    }

    /** Serves, and lets the timer call with `client` on a thread of its own. */
    void serve(Executor executor, Handler handler, Client client) {
        server.createContext("/", exchange -> {
            Inbound inbound = Inbound.of(exchange);
            try {
                handler.handle(inbound);
            } catch (Exception failed) {
                System.err.println(inbound.route() + ": " + failed);
                inbound.answer(502);
            }
        });
        server.setExecutor(executor);
        server.start();
        System.out.println("listening " + server.getAddress().getPort());
        if (timer) {
            Thread thread = new Thread(() -> background(client), "timer");
            thread.setDaemon(true);
            thread.start();
        }
    }

    private void background(Client client) {
        while (true) {
            try {
                Thread.sleep(ThreadLocalRandom.current().nextInt(50, 351));
                truth("-", client.call(CONFIG, "", Map.of()));
            } catch (Exception failed) {
                System.err.println("timer: " + failed);
            }
        }
    }

    /** The context headers of a call. */
    Map<String, String> headers(Inbound inbound, Call call) {
        Map<String, String> headers = new LinkedHashMap<>();
        String parent = header(inbound, "traceparent");
        boolean forwards = variant.equals("healthy") || variant.equals("broken") && !call.dropsWhenBroken();
        if (forwards && parent != null) {
            String[] fields = parent.split("-");
            fields[2] = String.format("%016x", ThreadLocalRandom.current().nextLong(1, Long.MAX_VALUE));
            headers.put("traceparent", String.join("-", fields));
            copy(inbound, "tracestate", headers);
        }
        if (variant.equals("affine")) {
            copy(inbound, "x-request-id", headers);
            copy(inbound, "authorization", headers);
        }
        return headers;
    }

    private static void copy(Inbound inbound, String name, Map<String, String> headers) {
        String value = header(inbound, name);
        if (value != null) {
            headers.put(name, value);
        }
    }

    private static String header(Inbound inbound, String name) {
        return inbound.exchange().getRequestHeaders().getFirst(name);
    }

    /** One line a call; `println` of one string is one write. */
    void truth(String id, String xCall) {
        System.out.println(id + " " + xCall);
    }

    /** How long after its answer a late call is made. */
    static final int LATE_MS = 3;
}
