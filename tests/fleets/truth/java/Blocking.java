import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.Map;

/** `HttpURLConnection`: the calling thread writes the request and reads the response; connections come from the JDK's cache. */
final class Blocking {
    private final Fleet fleet;

    Blocking(Fleet fleet) {
        this.fleet = fleet;
    }

    /** Makes a call and returns the backend's `X-Call`. */
    String call(Fleet.Call call, String query, Map<String, String> headers) throws Exception {
        var connection = (HttpURLConnection) URI.create(fleet.backend + call.path() + query).toURL().openConnection();
        connection.setRequestMethod(call.method());
        headers.forEach(connection::setRequestProperty);
        if (call.method().equals("POST")) {
            connection.setDoOutput(true);
            connection.setFixedLengthStreamingMode(0);
            connection.getOutputStream().close();
        }
        // Read to its end, or the connection is not used again.
        try (InputStream body = connection.getInputStream()) {
            body.readAllBytes();
        }
        return connection.getHeaderField("X-Call");
    }

    /** Makes a call for a request and tells the truth. */
    void callFor(Fleet.Inbound inbound, Fleet.Call call, Map<String, String> headers) throws Exception {
        fleet.truth(inbound.id(), call(call, inbound.query(), headers));
    }
}
