// The HTTP interface of the peer: the routes of the Leshan demo server's REST interface, and a few for tests.
// MIT license; Copyright (c) 2026 the microlwm2m authors
//
// An LwM2M answer is HTTP 200 whatever its code: look at "status" and "success". 400: refused before sending (text).
// 404: no such client or route. 500: the answer could not be decoded, or the request not sent. 504: no answer in time.
//
//   GET    /api/clients[/EP]
//   GET    /api/clients/EP/3/0/9?format=SENML_CBOR&timeout=5          Read
//   PUT    /api/clients/EP/3/0/14?format=TEXT  {"value": "+02"}       Write; replace=false is the partial update
//   POST   /api/clients/EP/3/0/4  0='1'                               Execute with its arguments
//   POST   /api/clients/EP/3442 {"id": 3, "resources": [...]}         Create
//   DELETE /api/clients/EP/3442/3                                     Delete
//   GET    /api/clients/EP/3/0/discover
//   PUT    /api/clients/EP/3303/0/5700/attributes?pmin=1&pmax=5       Write-Attributes; ?pmin alone removes it
//   POST   /api/clients/EP/3303/0/5700/observe?format=SENML_CBOR      Observe
//   GET    /api/clients/EP/observations
//   DELETE /api/clients/EP/3303/0/5700/observe[?active]               passive: forgets it; active: asks the client
//   GET    /api/clients/EP/composite?paths=/3/0/0,/1/0&pathformat=SENML_CBOR&nodeformat=SENML_CBOR
//   PUT    /api/clients/EP/composite?nodeformat=SENML_CBOR {"/3/0/14": {"value": "+07"}}
//   POST, DELETE /api/clients/EP/composite/observe?paths=...
//   GET, PUT, DELETE /api/security/clients[/EP]                       accounts, {"endpoint", "oscore": {"sid", "rid",
//   GET, PUT, DELETE /api/bs/security/clients[/EP]                      "msec", "msalt", "aead", "hkdf"}}, hex, or
//                                                                      "tls": {"mode": "psk", "details":
//                                                                        {"identity": text, "key": hex}}
//   GET, POST, DELETE /api/bootstrap[/EP]   {"uri", "shortId", "lifetime", "delete": [...], "autoId", "format",
//                                              "oscore": {sid and rid as the client has them},
//                                              "psk": {"identity": text, "key": hex}}
//   GET    /api/event[?ep=EP]                                         events, as text/event-stream
//   POST   /api/start                                                 with -Dhold=true: now CoAP may begin
//   POST   /api/forget                                                all that a restart loses, accounts kept
//   GET, PUT /api/lwm2m  1.1                                          the newest version taken; an empty body: any

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import org.eclipse.leshan.core.SecurityMode;
import org.eclipse.leshan.core.link.lwm2m.attributes.DefaultLwM2mAttributeParser;
import org.eclipse.leshan.core.link.lwm2m.attributes.InvalidAttributesException;
import org.eclipse.leshan.core.link.lwm2m.attributes.LwM2mAttributeSet;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.node.InvalidLwM2mPathException;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mNodeException;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.codec.CodecException;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.oscore.InvalidOscoreSettingException;
import org.eclipse.leshan.core.oscore.OscoreSetting;
import org.eclipse.leshan.core.oscore.OscoreValidator;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.request.CancelCompositeObservationRequest;
import org.eclipse.leshan.core.request.CancelObservationRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveCompositeRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadCompositeRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteCompositeRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.request.exception.ClientSleepingException;
import org.eclipse.leshan.core.request.exception.InvalidRequestException;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.server.bootstrap.BootstrapConfig;
import org.eclipse.leshan.server.bootstrap.InvalidConfigurationException;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.security.InMemorySecurityStore;
import org.eclipse.leshan.server.security.NonUniqueSecurityInfoException;
import org.eclipse.leshan.server.security.SecurityInfo;

final class Api implements HttpHandler {
    private static final long TIMEOUT_S = 5;

    private final LeshanPeer peer;

    Api(LeshanPeer peer) {
        this.peer = peer;
    }

    /** An answer other than 200. */
    private static final class Refusal extends Exception {
        private static final long serialVersionUID = 1;
        final int code;

        Refusal(int code, String text) {
            super(text);
            this.code = code;
        }
    }

    /** One call: the path after /api/ in pieces, decoded; the query; the body. */
    private static final class Call {
        final String method;
        final List<String> path = new ArrayList<>();
        final Map<String, String> query = new LinkedHashMap<>(); // null for a name without "="
        final String body;

        Call(HttpExchange exchange) throws IOException {
            method = exchange.getRequestMethod();
            for (String piece : exchange.getRequestURI().getRawPath().substring("/api/".length()).split("/"))
                path.add(decode(piece.replace("+", "%2B")));
            String raw = exchange.getRequestURI().getRawQuery();
            for (String pair : raw == null || raw.isEmpty() ? new String[0] : raw.split("&")) {
                int at = pair.indexOf('=');
                query.put(decode(at < 0 ? pair : pair.substring(0, at)),
                        at < 0 ? null : decode(pair.substring(at + 1)));
            }
            body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        }

        private static String decode(String text) {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        }

        boolean starts(String... pieces) {
            return path.size() >= pieces.length && path.subList(0, pieces.length).equals(Arrays.asList(pieces));
        }

        String tail(int n) {
            return String.join("/", path.subList(n, path.size()));
        }

        JsonNode json() throws JsonProcessingException {
            return Json.MAPPER.readTree(body);
        }

        // The demo takes an unknown name for none at all and sends TLV: a test would prove another format.
        ContentFormat format(String name) {
            String value = query.get(name);
            if (value == null)
                return null;
            ContentFormat format = ContentFormat.fromName(value.toUpperCase(Locale.ROOT));
            if (format == null)
                throw new IllegalArgumentException("unknown " + name + " " + value);
            return format;
        }

        List<String> paths() {
            String value = query.get("paths");
            if (value == null)
                throw new IllegalArgumentException("no paths=");
            return Arrays.asList(value.split(","));
        }
    }

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        try {
            Call call = new Call(exchange);
            if (call.starts("event")) {
                peer.events.stream(exchange, call.query.get("ep"));
                return;
            }
            JsonNode answer = answer(call);
            send(exchange, 200, "application/json", answer == null ? "" : answer.toString());
        } catch (Refusal e) {
            send(exchange, e.code, "text/plain", e.getMessage());
        } catch (InvalidRequestException | CodecException | InvalidLwM2mPathException | LwM2mNodeException
                | InvalidAttributesException | IllegalArgumentException | JsonProcessingException
                | InvalidOscoreSettingException | NonUniqueSecurityInfoException | InvalidConfigurationException e) {
            send(exchange, 400, "text/plain", "Invalid request: " + e.getMessage());
        } catch (Exception e) {
            send(exchange, 500, "text/plain", e.getClass().getSimpleName() + ": " + e.getMessage());
        } finally {
            exchange.close();
        }
    }

    private static void send(HttpExchange exchange, int code, String type, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type + "; charset=utf-8");
        exchange.sendResponseHeaders(code, bytes.length == 0 ? -1 : bytes.length);
        if (bytes.length > 0)
            exchange.getResponseBody().write(bytes);
    }

    private JsonNode answer(Call call) throws Exception {
        if (call.starts("clients"))
            return clients(call);
        if (call.starts("security", "clients"))
            return accounts(call, call.tail(2), peer.accounts, false);
        if (call.starts("bs", "security", "clients"))
            return accounts(call, call.tail(3), peer.bootstrapAccounts, true);
        if (call.starts("bootstrap"))
            return bootstrap(call, call.tail(1));
        if (call.starts("start") && call.method.equals("POST")) {
            peer.start();
            return null;
        }
        if (call.starts("forget") && call.method.equals("POST")) {
            peer.forget();
            return null;
        }
        if (call.starts("lwm2m")) {
            if (call.method.equals("PUT"))
                peer.newest(call.body.isBlank() ? null : call.body.trim());
            return Json.object().put("newest", peer.newest());
        }
        throw unknown(call);
    }

    private static Refusal unknown(Call call) {
        return new Refusal(404, "no route for " + call.method + " /api/" + call.tail(0));
    }

    // ---- Clients --------------------------------------------------------------------------------------------------

    private JsonNode clients(Call call) throws Exception {
        if (call.path.size() == 1) {
            ArrayNode all = Json.array();
            peer.server.getRegistrationService().getAllRegistrations()
                    .forEachRemaining(r -> all.add(Json.registration(r)));
            return all;
        }
        Registration r = peer.server.getRegistrationService().getByEndpoint(call.path.get(1));
        if (r == null)
            throw new Refusal(404, "no registered client " + call.path.get(1));
        if (call.path.size() == 2)
            return Json.registration(r);
        List<String> rest = call.path.subList(2, call.path.size());
        String last = rest.get(rest.size() - 1);
        if (rest.get(0).equals("observations"))
            return observations(r);
        if (rest.get(0).equals("composite"))
            return composite(call, r, last.equals("observe"));
        boolean operation = last.equals("discover") || last.equals("attributes") || last.equals("observe");
        String target = "/" + String.join("/", operation ? rest.subList(0, rest.size() - 1) : rest);
        LwM2mPath path = new LwM2mPath(target);
        ContentFormat format = operation && !last.equals("observe") ? null : call.format("format");
        switch (call.method + (operation ? " " + last : "")) {
        case "GET":
            return exchange(call, r, new ReadRequest(format, target));
        case "PUT":
            return exchange(call, r, write(call, r, path, format));
        case "POST":
            if (path.isResource())
                return exchange(call, r, new ExecuteRequest(target, call.body.isEmpty() ? null : call.body));
            return exchange(call, r, create(call, r, path, format));
        case "DELETE":
            return exchange(call, r, new DeleteRequest(target));
        case "GET discover":
            return exchange(call, r, new DiscoverRequest(target));
        case "PUT attributes":
            return exchange(call, r, new WriteAttributesRequest(target, attributes(call)));
        case "POST observe":
            return exchange(call, r, new ObserveRequest(format, target));
        case "DELETE observe":
            return cancel(call, r, List.of(path));
        default:
            throw unknown(call);
        }
    }

    private <T extends LwM2mResponse> ObjectNode exchange(Call call, Registration r, DownlinkRequest<T> request)
            throws Refusal, InterruptedException {
        long seconds = call.query.get("timeout") == null ? TIMEOUT_S : Long.parseLong(call.query.get("timeout"));
        try {
            T response = peer.server.send(r, request, seconds * 1000);
            if (response == null)
                throw new Refusal(504, "Request timeout");
            return Json.response(response);
        } catch (ClientSleepingException e) {
            throw new Refusal(409, "Client is asleep");
        }
    }

    private LwM2mModel model(Registration r) {
        return peer.server.getModelProvider().getObjectModel(r);
    }

    private WriteRequest write(Call call, Registration r, LwM2mPath path, ContentFormat format)
            throws JsonProcessingException {
        boolean update = "false".equals(call.query.get("replace"));
        return new WriteRequest(update ? WriteRequest.Mode.UPDATE : WriteRequest.Mode.REPLACE, format, path,
                Json.parse(call.json(), path, model(r)));
    }

    private CreateRequest create(Call call, Registration r, LwM2mPath path, ContentFormat format)
            throws JsonProcessingException {
        LwM2mObjectInstance instance = (LwM2mObjectInstance) Json.parse(call.json(), path, model(r));
        String object = "/" + path.getObjectId();
        return instance.getId() == LwM2mObjectInstance.UNDEFINED
                ? new CreateRequest(format, object, instance.getResources().values())
                : new CreateRequest(format, object, instance);
    }

    private static LwM2mAttributeSet attributes(Call call) throws Exception {
        List<String> all = new ArrayList<>();
        call.query.forEach((name, value) -> {
            if (!name.equals("timeout"))
                all.add(value == null ? name : name + "=" + value);
        });
        return new LwM2mAttributeSet(new DefaultLwM2mAttributeParser().parseQueryParams(all));
    }

    private JsonNode composite(Call call, Registration r, boolean observe) throws Exception {
        ContentFormat pathFormat = call.format("pathformat");
        ContentFormat nodeFormat = call.format("nodeformat");
        switch (call.method + (observe ? " observe" : "")) {
        case "GET":
            return exchange(call, r, new ReadCompositeRequest(pathFormat, nodeFormat, call.paths()));
        case "PUT":
            Map<LwM2mPath, LwM2mNode> nodes = new LinkedHashMap<>();
            JsonNode in = call.json();
            in.fieldNames().forEachRemaining(name -> {
                LwM2mPath path = new LwM2mPath(name);
                nodes.put(path, Json.parse(in.get(name), path, model(r)));
            });
            return exchange(call, r, new WriteCompositeRequest(nodeFormat, nodes, null));
        case "POST observe":
            return exchange(call, r,
                    new ObserveCompositeRequest(pathFormat, nodeFormat, LwM2mPath.getLwM2mPathList(call.paths())));
        case "DELETE observe":
            return cancel(call, r, LwM2mPath.getLwM2mPathList(call.paths()));
        default:
            throw unknown(call);
        }
    }

    // Under OSCORE Leshan books every observation as a composite one (the outer code is FETCH): found by paths alone.
    private static List<LwM2mPath> paths(Observation observation) {
        return observation instanceof SingleObservation ? List.of(((SingleObservation) observation).getPath())
                : ((CompositeObservation) observation).getPaths();
    }

    private JsonNode observations(Registration r) {
        ArrayNode all = Json.array();
        for (Observation o : peer.server.getObservationService().getObservations(r)) {
            ObjectNode item = all.addObject().put("kind", o instanceof SingleObservation ? "single" : "composite");
            item.put("token", o.getId().getAsHexString());
            paths(o).forEach(path -> item.withArray("paths").add(path.toString()));
        }
        return all;
    }

    // ... and without the formats, so that its own active cancel fails: said here once more for the request.
    private static SingleObservation asSingle(Observation o) {
        return o instanceof SingleObservation ? (SingleObservation) o
                : new SingleObservation(o.getId(), o.getRegistrationId(), paths(o).get(0), ContentFormat.SENML_CBOR,
                        o.getContext(), o.getProtocolData());
    }

    private static CompositeObservation asComposite(Observation o) {
        return new CompositeObservation(o.getId(), o.getRegistrationId(), paths(o), ContentFormat.SENML_CBOR,
                ContentFormat.SENML_CBOR, o.getContext(), o.getProtocolData());
    }

    private JsonNode cancel(Call call, Registration r, Collection<LwM2mPath> paths) throws Exception {
        ObjectNode out = Json.object();
        int cancelled = 0;
        for (Observation o : peer.server.getObservationService().getObservations(r)) {
            if (!paths(o).equals(new ArrayList<>(paths)))
                continue;
            if (call.query.containsKey("active") && call.starts("clients", r.getEndpoint(), "composite"))
                out.set("response", exchange(call, r, new CancelCompositeObservationRequest(asComposite(o))));
            else if (call.query.containsKey("active"))
                out.set("response", exchange(call, r, new CancelObservationRequest(asSingle(o))));
            peer.server.getObservationService().cancelObservation(o);
            cancelled++;
        }
        if (cancelled == 0)
            throw new Refusal(404, "no observation of " + paths);
        return out.put("cancelled", cancelled);
    }

    // ---- Accounts and bootstrap ------------------------------------------------------------------------------------

    private JsonNode accounts(Call call, String ep, InMemorySecurityStore store, boolean bootstrap) throws Exception {
        switch (call.method) {
        case "GET":
            ArrayNode all = Json.array();
            for (SecurityInfo info : store.getAll()) {
                if (info.usePSK()) {
                    all.addObject().put("endpoint", info.getEndpoint()).putObject("tls").put("mode", "psk")
                            .putObject("details").put("identity", info.getPskIdentity());
                    continue;
                }
                OscoreSetting s = info.getOscoreSetting(); // the Master Secret stays inside
                all.addObject().put("endpoint", info.getEndpoint()).putObject("oscore") //
                        .put("sid", text(s.getSenderId())).put("rid", text(s.getRecipientId()))
                        .put("aead", s.getAeadAlgorithm().getValue()).put("hkdf", s.getHkdfAlgorithm().getValue());
            }
            return all;
        case "PUT":
            JsonNode in = call.json();
            if (in.has("tls")) {
                JsonNode psk = in.path("tls").path("details");
                store.add(SecurityInfo.newPreSharedKeyInfo(in.path("endpoint").asText(),
                        psk.path("identity").asText(), Json.hex(psk.path("key").asText())));
                return null;
            }
            OscoreSetting setting = setting(in.path("oscore"));
            if (setting.getRecipientId().length == 0)
                throw new IllegalArgumentException("rid is empty: Leshan cannot find such a client");
            new OscoreValidator().validateOscoreSetting(setting);
            SecurityInfo info = SecurityInfo.newOscoreInfo(in.path("endpoint").asText(), setting);
            SecurityInfo old = store.getByEndpoint(info.getEndpoint());
            if (old != null && !Objects.equals(old, info))
                remove(store, old, bootstrap); // a context of the old keys must not outlive them
            store.add(info);
            return null;
        case "DELETE":
            SecurityInfo gone = store.getByEndpoint(ep);
            if (gone == null)
                throw new Refusal(404, "no account " + ep);
            remove(store, gone, bootstrap);
            return null;
        default:
            throw unknown(call);
        }
    }

    private void remove(InMemorySecurityStore store, SecurityInfo info, boolean bootstrap) {
        if (bootstrap)
            peer.forgetBootstrapContext(info);
        store.remove(info.getEndpoint(), true);
    }

    private static OscoreSetting setting(JsonNode in) {
        return new OscoreSetting(Json.hex(in.path("sid").asText()), Json.hex(in.path("rid").asText()),
                Json.hex(in.path("msec").asText()), in.has("aead") ? (Integer) in.get("aead").asInt() : null,
                in.has("hkdf") ? (Integer) in.get("hkdf").asInt() : null, Json.hex(in.path("msalt").asText()));
    }

    private static String text(byte[] bytes) {
        return org.eclipse.leshan.core.util.Hex.encodeHexString(bytes);
    }

    private JsonNode bootstrap(Call call, String ep) throws Exception {
        switch (call.method) {
        case "GET":
            ArrayNode all = Json.array();
            peer.bootstrapConfigs.getAll().keySet().forEach(all::add);
            return all;
        case "POST":
            peer.bootstrapConfigs.remove(ep);
            peer.bootstrapConfigs.add(ep, config(call));
            return null;
        case "DELETE":
            if (peer.bootstrapConfigs.remove(ep) == null)
                throw new Refusal(404, "no bootstrap configuration " + ep);
            return null;
        default:
            throw unknown(call);
        }
    }

    /** One LwM2M server: /1/0, its account /0/1 and, with "oscore", the keys /21/1. */
    private static BootstrapConfig config(Call call) throws JsonProcessingException {
        JsonNode in = call.json();
        BootstrapConfig config = new BootstrapConfig();
        config.autoIdForSecurityObject = in.path("autoId").asBoolean(false);
        if (in.has("format")) {
            config.contentFormat = ContentFormat.fromName(in.get("format").asText());
            if (config.contentFormat == null)
                throw new IllegalArgumentException("unknown format " + in.get("format").asText());
        }
        config.toDelete = new ArrayList<>();
        in.path("delete").forEach(path -> config.toDelete.add(path.asText()));

        BootstrapConfig.ServerConfig server = new BootstrapConfig.ServerConfig();
        server.shortId = in.path("shortId").asInt(123);
        server.lifetime = in.path("lifetime").asInt(300);
        server.binding = EnumSet.of(BindingMode.U);
        config.servers.put(0, server);

        BootstrapConfig.ServerSecurity security = new BootstrapConfig.ServerSecurity();
        security.uri = in.path("uri").asText();
        security.bootstrapServer = false;
        security.securityMode = SecurityMode.NO_SEC;
        security.serverId = server.shortId;
        config.security.put(1, security);
        if (in.has("psk")) {
            security.securityMode = SecurityMode.PSK;
            security.publicKeyOrId = in.get("psk").path("identity").asText().getBytes(StandardCharsets.UTF_8);
            security.secretKey = Json.hex(in.get("psk").path("key").asText());
        }

        if (in.has("oscore")) {
            OscoreSetting setting = setting(in.get("oscore"));
            BootstrapConfig.OscoreObject keys = new BootstrapConfig.OscoreObject();
            keys.oscoreMasterSecret = setting.getMasterSecret();
            keys.oscoreMasterSalt = setting.getMasterSalt();
            keys.oscoreSenderId = setting.getSenderId();
            keys.oscoreRecipientId = setting.getRecipientId();
            keys.oscoreAeadAlgorithm = setting.getAeadAlgorithm().getValue();
            keys.oscoreHmacAlgorithm = setting.getHkdfAlgorithm().getValue();
            config.oscore.put(1, keys);
            security.oscoreSecurityMode = 1;
        }
        return config;
    }
}
