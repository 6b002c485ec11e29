import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;

/**
 * `java.net.http.HttpClient` with futures: a few server threads start the calls and leave; what comes after a response
 * runs on a thread of the common pool, or on a new one where that pool would have a single thread (up to two cores).
 */
final class Async {
    private final Fleet fleet;
    /** HTTP/1.1, or the first requests would ask for an upgrade. */
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private Async(Fleet fleet) {
        this.fleet = fleet;
    }

    private CompletableFuture<String> call(Fleet.Call call, String query, Map<String, String> headers) {
        var request = HttpRequest.newBuilder(URI.create(fleet.backend + call.path() + query))
            .method(call.method(), HttpRequest.BodyPublishers.noBody());
        headers.forEach(request::header);
        return client.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString())
            .thenApply(response -> response.headers().firstValue("X-Call").orElseThrow());
    }

    private CompletableFuture<Void> callAll(Fleet.Inbound inbound) {
        Stream<CompletableFuture<Void>> calls = inbound.calls().stream()
            .map(call -> call(call, inbound.query(), fleet.headers(inbound, call))
                .thenAccept(xCall -> fleet.truth(inbound.id(), xCall)));
        return CompletableFuture.allOf(calls.toArray(CompletableFuture[]::new));
    }

    private void handle(Fleet.Inbound inbound) {
        if (inbound.answersFirst()) {
            inbound.answer(202);
            Executor later = CompletableFuture.delayedExecutor(Fleet.LATE_MS, TimeUnit.MILLISECONDS);
            CompletableFuture.runAsync(() -> { }, later).thenCompose(done -> callAll(inbound));
        } else {
            callAll(inbound).whenComplete((done, failed) -> {
                if (failed != null) {
                    System.err.println(inbound.route() + ": " + failed);
                }
                inbound.answer(failed == null ? 200 : 502);
            });
        }
    }

    public static void main(String[] args) throws Exception {
        Fleet fleet = new Fleet(args);
        Async async = new Async(fleet);
        fleet.serve(Executors.newFixedThreadPool(4), async::handle,
            (call, query, headers) -> async.call(call, query, headers).get());
    }
}
