// The reference LwM2M server and bootstrap server of the tests: Leshan's libraries, both with OSCORE, driven over HTTP.
// MIT license; Copyright (c) 2026 the microlwm2m authors
// LwM2M 1.1 (OMA-TS-LightweightM2M_Core), OSCORE (RFC 8613) with Appendix B.2; Leshan 2.0.0-M15 on Californium 3.12
//
// java -Dhttp=9080 -Dcoap=6683 -Dbs=6783 -cp build/leshan-peer/cls:build/leshan-peer/lib/* LeshanPeer
//   -Dhttp -Dcoap -Dbs   ports on 127.0.0.1, 0 or unsaid = any free one; "READY http=… coap=… bs=…" names them
//   -Dcoaps              with it, a port for DTLS with a pre-shared key too, without OSCORE inside: the factory of M15
//                        has no such layer (Relay.java adds DTLS to the port of -Dcoap)
//   -Dblock=64           bodies above that many bytes go block-wise
//   -Dack=300            ACK_TIMEOUT of the servers in ms (2000)
//   -Dlwm2m=1.1          the newest LwM2M version taken; a newer one is refused with 4.12, as Leshan M18 does
//   -Dawake=1000         ms after which a client in queue mode counts as asleep (93000)
//   -Dhold=true          CoAP begins with POST /api/start, once the accounts are there
//   -Dstdin=true         end when standard input ends, so that no server outlives the program that started it

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.core.network.CoapEndpoint;
import org.eclipse.californium.core.network.Outbox;
import org.eclipse.californium.core.network.stack.BaseCoapStack;
import org.eclipse.californium.core.network.stack.BlockwiseLayer;
import org.eclipse.californium.core.network.stack.CoapStack;
import org.eclipse.californium.core.network.stack.CongestionControlLayer;
import org.eclipse.californium.core.network.stack.ExchangeCleanupLayer;
import org.eclipse.californium.core.network.stack.Layer;
import org.eclipse.californium.core.network.stack.ObserveLayer;
import org.eclipse.californium.elements.EndpointContextMatcher;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.oscore.OSCoreCoapStackFactory;
import org.eclipse.californium.oscore.OSCoreCtx;
import org.eclipse.californium.oscore.OSCoreCtxDB;
import org.eclipse.californium.oscore.ObjectSecurityContextLayer;
import org.eclipse.californium.oscore.ObjectSecurityLayer;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.leshan.core.LwM2m;
import org.eclipse.leshan.core.californium.oscore.cf.InMemoryOscoreContextDB;
import org.eclipse.leshan.core.californium.oscore.cf.OscoreStore;
import org.eclipse.leshan.core.endpoint.EndpointUriUtil;
import org.eclipse.leshan.core.link.lwm2m.LwM2mLinkParser;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.TimestampedLwM2mNode;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.node.codec.LwM2mDecoder;
import org.eclipse.leshan.core.node.codec.LwM2mEncoder;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.peer.LwM2mPeer;
import org.eclipse.leshan.core.request.BootstrapDownlinkRequest;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.SendRequest;
import org.eclipse.leshan.core.request.UplinkRequest;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.RegisterResponse;
import org.eclipse.leshan.core.response.SendableResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.bootstrap.BootstrapFailureCause;
import org.eclipse.leshan.server.bootstrap.BootstrapSession;
import org.eclipse.leshan.server.bootstrap.BootstrapSessionListener;
import org.eclipse.leshan.server.bootstrap.InMemoryBootstrapConfigStore;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServer;
import org.eclipse.leshan.server.bootstrap.LeshanBootstrapServerBuilder;
import org.eclipse.leshan.server.californium.LwM2mOscoreStore;
import org.eclipse.leshan.server.californium.OscoreContextCleaner;
import org.eclipse.leshan.server.californium.bootstrap.BootstrapOscoreContextCleaner;
import org.eclipse.leshan.server.californium.bootstrap.LwM2mBootstrapOscoreStore;
import org.eclipse.leshan.server.californium.bootstrap.OscoreBootstrapListener;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.CaliforniumBootstrapServerEndpointsProvider;
import org.eclipse.leshan.server.californium.bootstrap.endpoint.coap.CoapOscoreBootstrapServerEndpointFactory;
import org.eclipse.leshan.server.californium.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.server.californium.endpoint.coap.CoapOscoreServerEndpointFactory;
import org.eclipse.leshan.server.californium.endpoint.coaps.CoapsServerEndpointFactory;
import org.eclipse.leshan.server.endpoint.LwM2mServerEndpointsProvider;
import org.eclipse.leshan.server.model.LwM2mModelProvider;
import org.eclipse.leshan.server.model.VersionedModelProvider;
import org.eclipse.leshan.server.observation.LwM2mNotificationReceiver;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.profile.ClientProfile;
import org.eclipse.leshan.server.queue.ClientAwakeTimeProvider;
import org.eclipse.leshan.server.queue.PresenceListener;
import org.eclipse.leshan.server.queue.StaticClientAwakeTimeProvider;
import org.eclipse.leshan.server.registration.Deregistration;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationDataExtractor;
import org.eclipse.leshan.server.registration.RegistrationHandler;
import org.eclipse.leshan.server.registration.RegistrationIdProvider;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationServiceImpl;
import org.eclipse.leshan.server.registration.RegistrationStore;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.server.request.DefaultUplinkRequestReceiver;
import org.eclipse.leshan.server.request.UplinkRequestReceiver;
import org.eclipse.leshan.server.security.Authorizer;
import org.eclipse.leshan.server.security.BootstrapSecurityStoreAdapter;
import org.eclipse.leshan.server.security.InMemorySecurityStore;
import org.eclipse.leshan.server.security.SecurityInfo;
import org.eclipse.leshan.server.security.SecurityStore;
import org.eclipse.leshan.server.security.ServerSecurityInfo;
import org.eclipse.leshan.server.send.SendHandler;
import org.eclipse.leshan.server.send.SendListener;

public final class LeshanPeer {
    private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    final InMemorySecurityStore accounts = new InMemorySecurityStore();
    final InMemorySecurityStore bootstrapAccounts = new InMemorySecurityStore();
    final InMemoryBootstrapConfigStore bootstrapConfigs = new InMemoryBootstrapConfigStore();
    final Events events = new Events();
    final LeshanServer server;
    final LeshanBootstrapServer bootstrap;

    private final Endpoint endpoint;
    private final BootstrapEndpoint bootstrapEndpoint;
    private volatile String newest = System.getProperty("lwm2m"); // null: every version
    private volatile boolean forgetting;

    // ---- What is wrong with M15 and is put right from outside -----------------------------------------------------

    /**
     * M15 finds no context for a request with a kid context: it throws "Internal Leshan operations should always use a
     * null ID Context". Appendix B.2 cannot begin then, although Californium below knows it. An account's Recipient ID
     * is unique here, so it alone says which context is meant.
     */
    static final class Contexts extends InMemoryOscoreContextDB {
        Contexts(OscoreStore store) {
            super(store);
        }

        @Override
        public synchronized OSCoreCtx getContext(byte[] rid, byte[] idContext) {
            return getContext(rid);
        }

        synchronized void forget(SecurityInfo account) {
            OSCoreCtx context = getContext(account.getOscoreSetting().getRecipientId());
            if (context != null)
                removeContext(context);
        }
    }

    /**
     * Californium 3.12 has OSCORE below the layer that knows retransmissions. A request that comes twice is then opened
     * twice: the second is a replay (a plain 4.01), and a repeated request 1 of B.2 spoils the context. Californium 4
     * has the two layers the other way round, and so has this stack.
     */
    static final class Stack extends BaseCoapStack {
        Stack(String tag, Configuration config, EndpointContextMatcher matcher, Outbox outbox, OSCoreCtxDB contexts) {
            super(outbox);
            setLayers(new Layer[] { new ObjectSecurityContextLayer(contexts), new ExchangeCleanupLayer(config),
                    new ObserveLayer(config), new BlockwiseLayer(tag, false, config, matcher),
                    new ObjectSecurityLayer(contexts), CongestionControlLayer.newImplementation(tag, config) });
        }
    }

    static final class Stacks extends OSCoreCoapStackFactory {
        @Override
        public CoapStack createCoapStack(String protocol, String tag, Configuration config,
                EndpointContextMatcher matcher, Outbox outbox, Object contexts) {
            return new Stack(tag, config, matcher, outbox, (OSCoreCtxDB) contexts);
        }
    }

    /**
     * M15 drops the context whenever a registration ends, and it ends too when the client registers again: the answer
     * to that Register is sealed, and all that follows fails. Kept while the same identity goes on.
     */
    static final class Cleaner extends OscoreContextCleaner {
        Cleaner(OSCoreCtxDB contexts) {
            super(contexts);
        }

        @Override
        public void unregistered(Registration gone, Collection<Observation> observations, boolean expired,
                Registration next) {
            if (next == null || !identity(gone).equals(identity(next)))
                super.unregistered(gone, observations, expired, next);
        }

        private static Object identity(Registration r) {
            return r.getClientTransportData().getIdentity();
        }
    }

    // ---- The two servers ------------------------------------------------------------------------------------------

    static final class Endpoint extends CoapOscoreServerEndpointFactory {
        Contexts contexts;

        Endpoint(InetSocketAddress address) {
            super(EndpointUriUtil.createUri("coap", address));
        }

        @Override
        protected CoapEndpoint.Builder createEndpointBuilder(InetSocketAddress address, Configuration config,
                LwM2mNotificationReceiver receiver, LeshanServer server) {
            contexts = new Contexts(new LwM2mOscoreStore(server.getSecurityStore(), server.getRegistrationStore()));
            Cleaner cleaner = new Cleaner(contexts);
            server.getRegistrationService().addListener(cleaner);
            ((InMemorySecurityStore) server.getSecurityStore()).addListener(cleaner);
            return super.createEndpointBuilder(address, config, receiver, server)
                    .setCustomCoapStackArgument(contexts).setCoapStackFactory(new Stacks());
        }
    }

    static final class BootstrapEndpoint extends CoapOscoreBootstrapServerEndpointFactory {
        Contexts contexts;

        BootstrapEndpoint(InetSocketAddress address) {
            super(EndpointUriUtil.createUri("coap", address));
        }

        @Override
        protected CoapEndpoint.Builder createEndpointBuilder(InetSocketAddress address, Configuration config,
                LeshanBootstrapServer server) {
            OscoreBootstrapListener sessions = new OscoreBootstrapListener();
            contexts = new Contexts(new LwM2mBootstrapOscoreStore(server.getSecurityStore(), sessions));
            server.addListener(sessions);
            server.addListener(new BootstrapOscoreContextCleaner(contexts));
            return super.createEndpointBuilder(address, config, server).setCustomCoapStackArgument(contexts)
                    .setCoapStackFactory(new Stacks());
        }
    }

    /** A LeshanServer that can refuse a version: M15 takes any, M18 nothing above 1.1. */
    private final class Builder extends LeshanServerBuilder {
        @Override
        protected LeshanServer createServer(LwM2mServerEndpointsProvider endpoints, RegistrationStore registrations,
                SecurityStore security, Authorizer authorizer, LwM2mModelProvider models, LwM2mEncoder encoder,
                LwM2mDecoder decoder, boolean noQueueMode, ClientAwakeTimeProvider awake, RegistrationIdProvider ids,
                RegistrationDataExtractor extractor, LwM2mLinkParser links, ServerSecurityInfo info,
                boolean updateOnNotification, boolean updateOnSend) {
            return new LeshanServer(endpoints, registrations, security, authorizer, models, encoder, decoder,
                    noQueueMode, awake, ids, extractor, updateOnNotification, updateOnSend, links, info) {
                @Override
                protected UplinkRequestReceiver createRequestReceiver(RegistrationHandler handler, SendHandler send) {
                    return new Gate(handler, send);
                }
            };
        }
    }

    private final class Gate extends DefaultUplinkRequestReceiver {
        Gate(RegistrationHandler handler, SendHandler send) {
            super(handler, send);
        }

        @Override
        @SuppressWarnings("unchecked") // the answer to a RegisterRequest is a RegisterResponse
        public <T extends LwM2mResponse> SendableResponse<T> requestReceived(LwM2mPeer sender, ClientProfile profile,
                UplinkRequest<T> request, java.net.URI uri) {
            String limit = newest;
            if (limit != null && request instanceof RegisterRequest
                    && new LwM2m.Version(((RegisterRequest) request).getLwVersion()).newerThan(limit))
                return new SendableResponse<>((T) RegisterResponse.preconditionFailed("unsupported lwm2m version"));
            return super.requestReceived(sender, profile, request, uri);
        }
    }

    LeshanPeer(int coap, int bs, Integer coaps) {
        endpoint = new Endpoint(new InetSocketAddress(LOOPBACK, coap));
        CaliforniumServerEndpointsProvider.Builder endpoints = new CaliforniumServerEndpointsProvider.Builder();
        LeshanServerBuilder builder = new Builder();
        builder.setSecurityStore(accounts);
        builder.setObjectModelProvider(new VersionedModelProvider(Models.all()));
        builder.setClientAwakeTimeProvider(new StaticClientAwakeTimeProvider(Integer.getInteger("awake", 93_000)));
        if (coaps != null) // MicroPython's mbed TLS has no CCM_8, which would be the default
            endpoints.addEndpoint(new CoapsServerEndpointFactory(
                    EndpointUriUtil.createUri("coaps", new InetSocketAddress(LOOPBACK, coaps)), null, null,
                    dtls -> dtls.set(DtlsConfig.DTLS_CIPHER_SUITES,
                            List.of(CipherSuite.TLS_PSK_WITH_AES_128_GCM_SHA256)),
                    null));
        builder.setEndpointsProviders(endpoints.setConfiguration(LeshanPeer::configure).addEndpoint(endpoint).build());
        server = builder.build();

        bootstrapEndpoint = new BootstrapEndpoint(new InetSocketAddress(LOOPBACK, bs));
        CaliforniumBootstrapServerEndpointsProvider.Builder bootstrapEndpoints = //
                new CaliforniumBootstrapServerEndpointsProvider.Builder();
        LeshanBootstrapServerBuilder bootstrapBuilder = new LeshanBootstrapServerBuilder();
        bootstrapBuilder.setSecurityStore(new BootstrapSecurityStoreAdapter(bootstrapAccounts));
        bootstrapBuilder.setConfigStore(bootstrapConfigs);
        bootstrapBuilder.setEndpointsProviders(bootstrapEndpoints.setConfiguration(LeshanPeer::configure)
                .addEndpoint(bootstrapEndpoint).build());
        bootstrap = bootstrapBuilder.build();
        listen();
    }

    private static void configure(Configuration config) {
        Integer block = Integer.getInteger("block");
        if (block != null) {
            config.set(CoapConfig.MAX_MESSAGE_SIZE, block);
            config.set(CoapConfig.PREFERRED_BLOCK_SIZE, block);
        }
        Integer ack = Integer.getInteger("ack");
        if (ack != null)
            config.set(CoapConfig.ACK_TIMEOUT, ack, TimeUnit.MILLISECONDS);
    }

    void start() {
        server.start();
        bootstrap.start();
    }

    /** The newest version taken from now on; null takes all. */
    void newest(String version) {
        newest = version == null ? null : new LwM2m.Version(version).toString();
    }

    String newest() {
        return newest;
    }

    /**
     * What a restart loses is lost: registrations, observations, OSCORE contexts, message IDs seen, requests under way.
     * Accounts and bootstrap configurations stay, the ports too. No DEREGISTRATION is told, as none is by a killed
     * server.
     */
    synchronized void forget() {
        server.stop();
        bootstrap.stop();
        forgetting = true;
        try {
            List<Registration> all = new ArrayList<>();
            server.getRegistrationService().getAllRegistrations().forEachRemaining(all::add);
            for (Registration r : all) {
                Deregistration gone = server.getRegistrationStore().removeRegistration(r.getId());
                if (gone != null) // so that whatever hangs on the registration goes with it
                    ((RegistrationServiceImpl) server.getRegistrationService()).fireUnregistered(
                            gone.getRegistration(), gone.getObservations(), null);
            }
            endpoint.contexts.purge();
            bootstrapEndpoint.contexts.purge();
        } finally {
            forgetting = false;
        }
        start();
    }

    /** Contexts made from the old keys of a bootstrap account; for the LwM2M server a listener does it. */
    void forgetBootstrapContext(SecurityInfo account) {
        bootstrapEndpoint.contexts.forget(account);
    }

    // ---- Events ---------------------------------------------------------------------------------------------------

    private void listen() {
        server.getRegistrationService().addListener(new RegistrationListener() {
            @Override
            public void registered(Registration r, Registration previous, Collection<Observation> observations) {
                events.emit("REGISTRATION", r.getEndpoint(), Json.registration(r));
            }

            @Override
            public void updated(RegistrationUpdate update, Registration r, Registration previous) {
                ObjectNode data = Json.object();
                data.set("registration", Json.registration(r));
                ObjectNode what = data.putObject("update");
                what.put("registrationId", update.getRegistrationId());
                if (update.getLifeTimeInSec() != null)
                    what.put("lifetime", update.getLifeTimeInSec());
                if (update.getObjectLinks() != null)
                    what.set("objectLinks", Json.links(update.getObjectLinks()));
                events.emit("UPDATED", r.getEndpoint(), data);
            }

            @Override
            public void unregistered(Registration r, Collection<Observation> observations, boolean expired,
                    Registration next) {
                if (!forgetting)
                    events.emit("DEREGISTRATION", r.getEndpoint(), Json.registration(r).put("expired", expired));
            }
        });
        server.getPresenceService().addListener(new PresenceListener() {
            @Override
            public void onAwake(Registration r) {
                events.emit("AWAKE", r.getEndpoint(), Json.object().put("ep", r.getEndpoint()));
            }

            @Override
            public void onSleeping(Registration r) {
                events.emit("SLEEPING", r.getEndpoint(), Json.object().put("ep", r.getEndpoint()));
            }
        });
        server.getObservationService().addListener(new Notifications());
        server.getSendService().addListener(new SendListener() {
            @Override
            public void dataReceived(Registration r, TimestampedLwM2mNodes data, SendRequest request) {
                ObjectNode event = Json.object().put("ep", r.getEndpoint());
                event.set("val", Json.nodes(data.getNodes()));
                event.set("timestamped", Json.timestamped(data)); // not in the demo, which loses the times
                events.emit("SEND", r.getEndpoint(), event);
            }

            @Override
            public void onError(Registration r, String message, Exception error) {
                events.emit("SEND_ERROR", r.getEndpoint(), Json.object().put("ep", r.getEndpoint())
                        .put("message", message + ": " + error));
            }
        });
        bootstrap.addListener(new Sessions());
    }

    private final class Notifications implements ObservationListener {
        @Override
        public void newObservation(Observation observation, Registration r) {
        }

        @Override
        public void cancelled(Observation observation) {
        }

        @Override
        public void onResponse(SingleObservation observation, Registration r, ObserveResponse response) {
            ObjectNode event = Json.object().put("ep", r.getEndpoint()).put("kind", "single").put("res",
                    observation.getPath().toString());
            event.set("val", Json.node(response.getContent()));
            if (response.getTimestampedLwM2mNodes() != null) {
                for (TimestampedLwM2mNode n : response.getTimestampedLwM2mNodes()) {
                    ObjectNode item = event.withArray("timestamped").addObject();
                    Json.putTime(item, n.getTimestamp());
                    item.putObject("val").set(observation.getPath().toString(), Json.node(n.getNode()));
                }
            }
            events.emit("NOTIFICATION", r.getEndpoint(), event);
        }

        @Override
        public void onResponse(CompositeObservation observation, Registration r, ObserveCompositeResponse response) {
            ObjectNode event = Json.object().put("ep", r.getEndpoint()).put("kind", "composite");
            event.set("val", Json.nodes(response.getContent()));
            for (LwM2mPath path : observation.getPaths())
                event.withArray("paths").add(path.toString());
            if (response.getTimestampedLwM2mNodes() != null)
                event.set("timestamped", Json.timestamped(response.getTimestampedLwM2mNodes()));
            events.emit("NOTIFICATION", r.getEndpoint(), event);
        }

        @Override
        public void onError(Observation observation, Registration r, Exception error) {
            String ep = r == null ? null : r.getEndpoint();
            events.emit("NOTIFICATION_ERROR", ep, Json.object().put("ep", ep).put("message", error.toString()));
        }
    }

    /** The steps of a bootstrap, as BSSESSION events. */
    private final class Sessions implements BootstrapSessionListener {
        private void tell(String ep, String name, Object message) {
            ObjectNode event = Json.object().put("ep", ep).put("name", name);
            events.emit("BSSESSION", ep, message == null ? event : event.put("message", message.toString()));
        }

        private String of(BootstrapDownlinkRequest<?> request) {
            return request.getClass().getSimpleName() + " " + request.getPath();
        }

        @Override
        public void sessionInitiated(BootstrapRequest request, LwM2mPeer client) {
            tell(request.getEndpointName(), "new session", client);
        }

        @Override
        public void unAuthorized(BootstrapRequest request, LwM2mPeer client) {
            tell(request.getEndpointName(), "unauthorized", client);
        }

        @Override
        public void authorized(BootstrapSession session) {
            tell(session.getEndpoint(), "authorized", session.getClientTransportData().getIdentity());
        }

        @Override
        public void noConfig(BootstrapSession session) {
            tell(session.getEndpoint(), "no config", null);
        }

        @Override
        public void sendRequest(BootstrapSession session, BootstrapDownlinkRequest<? extends LwM2mResponse> request) {
            tell(session.getEndpoint(), "send", of(request));
        }

        @Override
        public void onResponseSuccess(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
            tell(session.getEndpoint(), "success", of(request) + " " + response.getCode());
        }

        @Override
        public void onResponseError(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, LwM2mResponse response) {
            tell(session.getEndpoint(), "error", of(request) + " " + response.getCode());
        }

        @Override
        public void onRequestFailure(BootstrapSession session,
                BootstrapDownlinkRequest<? extends LwM2mResponse> request, Throwable cause) {
            tell(session.getEndpoint(), "failure", of(request) + " " + cause);
        }

        @Override
        public void end(BootstrapSession session) {
            tell(session.getEndpoint(), "finished", null);
        }

        @Override
        public void failed(BootstrapSession session, BootstrapFailureCause cause) {
            tell(session.getEndpoint(), "failed", cause);
        }
    }

    // ---- Start ----------------------------------------------------------------------------------------------------

    // Chosen before the servers are made, since forget() must find the same ports again. Both are held until both are
    // known, or they could be the same.
    private static int[] ports(String... names) throws SocketException {
        int[] ports = new int[names.length];
        List<DatagramSocket> held = new ArrayList<>();
        for (int i = 0; i < names.length; i++) {
            ports[i] = Integer.getInteger(names[i], 0);
            if (ports[i] == 0) {
                held.add(new DatagramSocket(new InetSocketAddress(LOOPBACK, 0)));
                ports[i] = held.get(held.size() - 1).getLocalPort();
            }
        }
        held.forEach(DatagramSocket::close);
        return ports;
    }

    public static void main(String[] args) throws IOException {
        boolean dtls = System.getProperty("coaps") != null;
        int[] ports = dtls ? ports("coap", "bs", "coaps") : ports("coap", "bs");
        LeshanPeer peer = new LeshanPeer(ports[0], ports[1], dtls ? ports[2] : null);
        HttpServer http = HttpServer.create(new InetSocketAddress(LOOPBACK, Integer.getInteger("http", 0)), 0);
        http.setExecutor(Executors.newCachedThreadPool());
        http.createContext("/api/", new Api(peer));
        http.start();
        if (!Boolean.getBoolean("hold"))
            peer.start();
        System.out.println("READY http=" + http.getAddress().getPort() + " coap=" + ports[0] + " bs="
                + ports[1] + (dtls ? " coaps=" + ports[2] : ""));
        if (Boolean.getBoolean("stdin")) {
            while (System.in.read() >= 0) {
                // whoever holds the other end is alive
            }
            Runtime.getRuntime().halt(0);
        }
    }
}
