import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * A virtual thread for every request and for every call of a fan-out; they move between a few carrier threads whenever
 * they wait. JDK 21 and later; compiled by any.
 */
final class Virtual {
    public static void main(String[] args) throws Exception {
        Fleet fleet = new Fleet(args);
        Blocking client = new Blocking(fleet);
        ExecutorService threads = newVirtualThreadPerTaskExecutor();
        fleet.serve(threads, inbound -> {
            if (inbound.answersFirst()) {
                inbound.answer(202);
                Thread.sleep(Fleet.LATE_MS);
            }
            List<Fleet.Call> calls = inbound.calls();
            if (calls.size() == 1) {
                client.callFor(inbound, calls.get(0), fleet.headers(inbound, calls.get(0)));
            } else {
                List<Future<Void>> futures = new ArrayList<>();
                for (Fleet.Call call : calls) {
                    Map<String, String> headers = fleet.headers(inbound, call);
                    Callable<Void> work = () -> {
                        client.callFor(inbound, call, headers);
                        return null;
                    };
                    futures.add(threads.submit(work));
                }
                for (Future<Void> future : futures) {
                    future.get();
                }
            }
            if (!inbound.answersFirst()) {
                inbound.answer(200);
            }
        }, client::call);
    }

    /** By name: JDK 17 compiles this file and has no such method. */
    private static ExecutorService newVirtualThreadPerTaskExecutor() {
        try {
            return (ExecutorService) Executors.class.getMethod("newVirtualThreadPerTaskExecutor").invoke(null);
        } catch (ReflectiveOperationException missing) {
            System.err.println("virtual threads need JDK 21 or later; this is " + System.getProperty("java.version"));
            System.exit(69);
            throw new IllegalStateException(missing);
        }
    }
}
