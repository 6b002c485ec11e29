import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * A request thread that reads the request and hands it over whole: a worker of a second fixed pool makes the blocking
 * calls, one after the other, and answers. The request thread is free for the next request at once.
 */
final class Handoff {
    public static void main(String[] args) throws Exception {
        Fleet fleet = new Fleet(args);
        Blocking client = new Blocking(fleet);
        ExecutorService workers = Executors.newFixedThreadPool(64);
        fleet.serve(Executors.newFixedThreadPool(4), inbound -> workers.execute(() -> {
            int status = 200;
            try {
                if (inbound.answersFirst()) {
                    inbound.answer(202);
                    Thread.sleep(Fleet.LATE_MS);
                }
                for (Fleet.Call call : inbound.calls()) {
                    client.callFor(inbound, call, fleet.headers(inbound, call));
                }
            } catch (Exception failed) {
                System.err.println(inbound.route() + ": " + failed);
                status = 502;
            }
            if (!inbound.answersFirst()) {
                inbound.answer(status);
            }
        }), client::call);
    }
}
