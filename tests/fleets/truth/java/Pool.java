import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A fixed pool of request threads that hand every call to a second fixed pool of workers, which make blocking calls.
 * The request thread waits for the workers and answers: the way of a servlet with `@Async` services.
 */
final class Pool {
    // Enough for three calls of every request: a queue before a full pool hides which request a call is for.
    private static final int THREADS = 192;

    public static void main(String[] args) throws Exception {
        Fleet fleet = new Fleet(args);
        Blocking client = new Blocking(fleet);
        ExecutorService workers = Executors.newFixedThreadPool(THREADS);
        fleet.serve(Executors.newFixedThreadPool(THREADS), inbound -> {
            if (inbound.answersFirst()) {
                inbound.answer(202);
            }
            List<Future<Void>> futures = new ArrayList<>();
            for (Fleet.Call call : inbound.calls()) {
                Map<String, String> headers = fleet.headers(inbound, call);
                Callable<Void> work = () -> {
                    if (inbound.answersFirst()) {
                        Thread.sleep(Fleet.LATE_MS);
                    }
                    client.callFor(inbound, call, headers);
                    return null;
                };
                futures.add(workers.submit(work));
            }
            if (!inbound.answersFirst()) {
                for (Future<Void> future : futures) {
                    future.get();
                }
                inbound.answer(200);
            }
        }, client::call);
    }
}
