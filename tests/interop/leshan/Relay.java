// DTLS with a pre-shared key in front of a CoAP server: Scandium ends it, what is inside goes on over UDP, and back.
// MIT license; Copyright (c) 2026 the microlwm2m authors
// DTLS 1.2 (RFC 6347), PSK (RFC 4279); Californium's Scandium 3.12
//
// java -Dtarget=5683 -Didentity=me -Dkey=00.. -cp build/leshan-peer/cls:build/leshan-peer/lib/* Relay
//   -Dtarget      the server's port on 127.0.0.1
//   -Dport        the own one, 0 or unsaid = any free one; "READY port=…" names it
//   -Didentity -Dkey   the one pre-shared key, in hex, and its identity
//   -Dsuite=TLS_PSK_WITH_AES_128_CBC_SHA256   the one cipher suite (TLS_PSK_WITH_AES_128_GCM_SHA256)
//   -Dstdin=true  end when standard input ends; a "c" in it closes all sessions, and tells the clients
//
// Each DTLS session gets a socket of its own towards the server. "SESSION …" tells of each: suite and identity.

import java.io.IOException;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.eclipse.californium.elements.DtlsEndpointContext;
import org.eclipse.californium.elements.EndpointContext;
import org.eclipse.californium.elements.RawData;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.elements.util.StringUtil;
import org.eclipse.californium.scandium.DTLSConnector;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.californium.scandium.config.DtlsConfig.DtlsRole;
import org.eclipse.californium.scandium.config.DtlsConnectorConfig;
import org.eclipse.californium.scandium.dtls.cipher.CipherSuite;
import org.eclipse.californium.scandium.dtls.pskstore.AdvancedSinglePskStore;

final class Relay {
    private final InetSocketAddress target;
    private final DTLSConnector connector;
    private final Map<Object, DatagramSocket> sessions = new ConcurrentHashMap<>(); // by session ID
    private final Set<InetSocketAddress> clients = ConcurrentHashMap.newKeySet();

    private Relay(InetSocketAddress target, DTLSConnector connector) {
        this.target = target;
        this.connector = connector;
    }

    private void up(RawData data) {
        EndpointContext client = data.getEndpointContext();
        try {
            DatagramSocket socket = sessions.get(client.get(DtlsEndpointContext.KEY_SESSION_ID));
            if (socket == null)
                socket = open(client);
            socket.send(new DatagramPacket(data.getBytes(), data.getSize()));
        } catch (IOException e) {
            System.err.println("relay: " + e);
        }
    }

    private DatagramSocket open(EndpointContext client) throws IOException {
        DatagramSocket socket = new DatagramSocket(new InetSocketAddress(target.getAddress(), 0));
        socket.connect(target);
        sessions.put(client.get(DtlsEndpointContext.KEY_SESSION_ID), socket);
        clients.add(client.getPeerAddress());
        System.out.println("SESSION " + client.get(DtlsEndpointContext.KEY_CIPHER) + " "
                + client.getPeerIdentity().getName());
        Thread down = new Thread(() -> down(socket, client));
        down.setDaemon(true);
        down.start();
        return socket;
    }

    private void close() {
        clients.forEach(connector::close);
        clients.clear();
    }

    private void down(DatagramSocket socket, EndpointContext client) {
        byte[] buffer = new byte[65536];
        while (true) {
            DatagramPacket packet = new DatagramPacket(buffer, buffer.length);
            try {
                socket.receive(packet);
            } catch (IOException e) {
                continue; // refused: the server is away
            }
            byte[] data = java.util.Arrays.copyOf(buffer, packet.getLength());
            connector.send(RawData.outbound(data, client, null, false));
        }
    }

    public static void main(String[] args) throws IOException, InterruptedException {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        DtlsConnectorConfig.Builder config = DtlsConnectorConfig.builder(new Configuration(DtlsConfig.DEFINITIONS));
        config.setAddress(new InetSocketAddress(loopback, Integer.getInteger("port", 0)));
        config.set(DtlsConfig.DTLS_ROLE, DtlsRole.SERVER_ONLY);
        config.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false); // CBC is not
        config.set(DtlsConfig.DTLS_CIPHER_SUITES, List.of(
                CipherSuite.valueOf(System.getProperty("suite", "TLS_PSK_WITH_AES_128_GCM_SHA256"))));
        config.setAdvancedPskStore(new AdvancedSinglePskStore(System.getProperty("identity"),
                StringUtil.hex2ByteArray(System.getProperty("key"))));
        DTLSConnector connector = new DTLSConnector(config.build());
        Relay relay = new Relay(new InetSocketAddress(loopback, Integer.getInteger("target")), connector);
        connector.setRawDataReceiver(relay::up);
        connector.start();
        System.out.println("READY port=" + connector.getAddress().getPort());
        if (Boolean.getBoolean("stdin")) {
            int c;
            while ((c = System.in.read()) >= 0) // whoever holds the other end is alive
                if (c == 'c')
                    relay.close();
            Runtime.getRuntime().halt(0);
        }
        Thread.currentThread().join(); // Scandium's own threads are daemons
    }
}
