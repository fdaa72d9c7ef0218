// Leshan's nodes, registrations and answers as JSON, in the shapes of the Leshan demo server's REST interface.
// MIT license; Copyright (c) 2026 the microlwm2m authors

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Date;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.eclipse.leshan.core.link.DefaultLinkParser;
import org.eclipse.leshan.core.link.DefaultLinkSerializer;
import org.eclipse.leshan.core.link.Link;
import org.eclipse.leshan.core.link.LinkParseException;
import org.eclipse.leshan.core.link.attributes.Attribute;
import org.eclipse.leshan.core.model.LwM2mModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mMultipleResource;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mObject;
import org.eclipse.leshan.core.node.LwM2mObjectInstance;
import org.eclipse.leshan.core.node.LwM2mPath;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.node.LwM2mResourceInstance;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.node.ObjectLink;
import org.eclipse.leshan.core.node.TimestampedLwM2mNodes;
import org.eclipse.leshan.core.peer.LwM2mIdentity;
import org.eclipse.leshan.core.peer.OscoreIdentity;
import org.eclipse.leshan.core.request.BindingMode;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ReadCompositeResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.util.Hex;
import org.eclipse.leshan.core.util.datatype.ULong;
import org.eclipse.leshan.server.registration.Registration;

final class Json {
    static final ObjectMapper MAPPER = new ObjectMapper();

    private Json() {
    }

    static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }

    static ArrayNode array() {
        return JsonNodeFactory.instance.arrayNode();
    }

    // ---- out ----------------------------------------------------------------------------------------------------

    static ObjectNode registration(Registration r) {
        LwM2mIdentity identity = r.getClientTransportData().getIdentity();
        ObjectNode out = object();
        out.put("endpoint", r.getEndpoint());
        out.put("registrationId", r.getId());
        out.put("registrationDate", r.getRegistrationDate().getTime());
        out.put("lastUpdate", r.getLastUpdate().getTime());
        out.put("address", r.getAddress().getHostAddress() + ":" + r.getPort());
        out.put("lwM2mVersion", r.getLwM2mVersion().toString());
        out.put("lifetime", r.getLifeTimeInSec());
        out.put("bindingMode", BindingMode.toString(r.getBindingMode()));
        out.put("rootPath", r.getRootPath());
        out.set("objectLinks", links(r.getObjectLinks()));
        out.put("secure", identity.isSecure() && !(identity instanceof OscoreIdentity)); // the demo means (D)TLS
        out.put("queuemode", r.usesQueueMode());
        ObjectNode instances = out.putObject("availableInstances");
        Map<Integer, ArrayNode> byObject = new TreeMap<>();
        for (LwM2mPath path : r.getAvailableInstances())
            byObject.computeIfAbsent(path.getObjectId(), o -> array()).add(path.getObjectInstanceId());
        byObject.forEach((oid, iids) -> instances.set(oid.toString(), iids));
        // Not in the demo: under which kid the Register came; null when it came in the clear.
        if (identity instanceof OscoreIdentity)
            out.put("oscore", Hex.encodeHexString(((OscoreIdentity) identity).getRecipientId()));
        else
            out.putNull("oscore");
        return out;
    }

    static ArrayNode links(Link[] links) {
        ArrayNode out = array();
        for (Link link : links) {
            ObjectNode item = out.addObject();
            item.put("url", link.getUriReference());
            ObjectNode attributes = item.putObject("attributes");
            for (Attribute a : link.getAttributes())
                attributes.put(a.getName(), a.hasValue() ? String.valueOf(a.getValue()) : null);
        }
        return out;
    }

    static ObjectNode response(LwM2mResponse response) {
        ObjectNode out = object();
        out.put("status", response.getCode().toString());
        out.put("valid", response.isValid());
        out.put("success", response.isSuccess());
        out.put("failure", response.isFailure());
        if (response instanceof ReadResponse && ((ReadResponse) response).getContent() != null)
            out.set("content", node(((ReadResponse) response).getContent()));
        if (response instanceof ReadCompositeResponse && ((ReadCompositeResponse) response).getContent() != null)
            out.set("content", nodes(((ReadCompositeResponse) response).getContent()));
        if (response instanceof DiscoverResponse && ((DiscoverResponse) response).getObjectLinks() != null)
            out.set("objectLinks", links(((DiscoverResponse) response).getObjectLinks()));
        if (response instanceof CreateResponse)
            out.put("location", ((CreateResponse) response).getLocation());
        if (response.isFailure() && response.getErrorMessage() != null && !response.getErrorMessage().isEmpty())
            out.put("errormessage", response.getErrorMessage());
        return out;
    }

    static ObjectNode nodes(Map<LwM2mPath, LwM2mNode> nodes) {
        ObjectNode out = object();
        nodes.forEach((path, node) -> out.set(path.toString(), node(node)));
        return out;
    }

    /** Every value with the time its record carries: [{"t": ms or null, "val": {path: node}}], oldest first. */
    static ArrayNode timestamped(TimestampedLwM2mNodes data) {
        ArrayNode out = array();
        for (Instant t : data.getTimestamps()) {
            ObjectNode item = out.addObject();
            putTime(item, t);
            item.set("val", nodes(data.getNodesAt(t)));
        }
        return out;
    }

    static void putTime(ObjectNode item, Instant t) {
        if (t == null)
            item.putNull("t");
        else
            item.put("t", t.toEpochMilli());
    }

    /** null for a path that the device had nothing for, as a composite answer may say. */
    static JsonNode node(LwM2mNode node) {
        if (node == null)
            return JsonNodeFactory.instance.nullNode();
        ObjectNode out = object();
        if (node instanceof LwM2mObject) {
            out.put("kind", "obj");
            out.put("id", ((LwM2mObject) node).getId());
            ArrayNode instances = out.putArray("instances");
            new TreeMap<>(((LwM2mObject) node).getInstances()).values().forEach(i -> instances.add(node(i)));
        } else if (node instanceof LwM2mObjectInstance) {
            out.put("kind", "instance");
            out.put("id", ((LwM2mObjectInstance) node).getId());
            ArrayNode resources = out.putArray("resources");
            new TreeMap<>(((LwM2mObjectInstance) node).getResources()).values().forEach(r -> resources.add(node(r)));
        } else if (node instanceof LwM2mResource && ((LwM2mResource) node).isMultiInstances()) {
            LwM2mResource resource = (LwM2mResource) node;
            out.put("kind", "multiResource");
            out.put("id", resource.getId());
            out.put("type", resource.getType().name());
            ObjectNode values = out.putObject("values");
            new TreeMap<>(resource.getInstances())
                    .forEach((riid, i) -> values.set(riid.toString(), value(i.getType(), i.getValue())));
        } else if (node instanceof LwM2mResource) {
            LwM2mResource resource = (LwM2mResource) node;
            out.put("kind", "singleResource");
            out.put("id", resource.getId());
            out.put("type", resource.getType().name());
            out.set("value", value(resource.getType(), resource.getValue()));
        } else if (node instanceof LwM2mResourceInstance) {
            LwM2mResourceInstance instance = (LwM2mResourceInstance) node;
            out.put("kind", "resourceInstance");
            out.put("id", instance.getId());
            out.put("type", instance.getType().name());
            out.set("value", value(instance.getType(), instance.getValue()));
        } else {
            out.put("kind", node.getClass().getSimpleName());
        }
        return out;
    }

    // Numbers travel as text, since JavaScript's numbers end at 2^53; times as milliseconds since 1970.
    private static JsonNode value(Type type, Object value) {
        JsonNodeFactory f = JsonNodeFactory.instance;
        switch (type) {
        case BOOLEAN:
            return f.booleanNode((Boolean) value);
        case OPAQUE:
            return f.textNode(Hex.encodeHexString((byte[]) value));
        case TIME:
            return f.numberNode(((Date) value).getTime());
        case OBJLNK:
            return object().put("objectId", ((ObjectLink) value).getObjectId()).put("objectInstanceId",
                    ((ObjectLink) value).getObjectInstanceId());
        case CORELINK:
            return f.textNode(new DefaultLinkSerializer().serializeCoreLinkFormat((Link[]) value));
        default:
            return f.textNode(String.valueOf(value));
        }
    }

    // ---- in -----------------------------------------------------------------------------------------------------

    /**
     * The node that a body describes. "kind" may be left out where the path tells it; "type" may be left out where the
     * model knows the resource.
     */
    static LwM2mNode parse(JsonNode in, LwM2mPath path, LwM2mModel model) {
        String kind = in.path("kind").asText("");
        if (in.has("resources") || kind.equals("instance")) {
            List<LwM2mResource> resources = new ArrayList<>();
            int iid = in.has("id") ? in.get("id").asInt()
                    : path.isObjectInstance() ? path.getObjectInstanceId() : LwM2mObjectInstance.UNDEFINED;
            LwM2mPath parent = new LwM2mPath(path.getObjectId(), Math.max(iid, 0));
            for (JsonNode r : in.path("resources"))
                resources.add((LwM2mResource) parse(r, parent.append(required(r, "id").asInt()), model));
            return iid == LwM2mObjectInstance.UNDEFINED ? new LwM2mObjectInstance(resources)
                    : new LwM2mObjectInstance(iid, resources);
        }
        int id = in.has("id") ? in.get("id").asInt()
                : path.isResourceInstance() ? path.getResourceInstanceId() : path.getResourceId();
        Type type = type(in, path, model);
        if (in.has("values") || kind.equals("multiResource")) {
            List<LwM2mResourceInstance> instances = new ArrayList<>();
            for (Iterator<Map.Entry<String, JsonNode>> i = required(in, "values").fields(); i.hasNext();) {
                Map.Entry<String, JsonNode> e = i.next();
                instances.add(LwM2mResourceInstance.newInstance(Integer.parseInt(e.getKey()),
                        value(type, e.getValue()), type));
            }
            return new LwM2mMultipleResource(id, type, instances);
        }
        Object value = value(type, required(in, "value"));
        if (path.isResourceInstance() || kind.equals("resourceInstance"))
            return LwM2mResourceInstance.newInstance(id, value, type);
        return LwM2mSingleResource.newResource(id, value, type);
    }

    private static JsonNode required(JsonNode in, String name) {
        if (!in.has(name))
            throw new IllegalArgumentException("no \"" + name + "\" in " + in);
        return in.get(name);
    }

    private static Type type(JsonNode in, LwM2mPath path, LwM2mModel model) {
        if (in.has("type")) {
            String name = in.get("type").asText().toUpperCase(Locale.ROOT);
            if (name.equals("UNSIGNED"))
                return Type.UNSIGNED_INTEGER;
            return Type.valueOf(name.equals("CORELNK") ? "CORELINK" : name);
        }
        ResourceModel row = path.getResourceId() == null ? null
                : model.getResourceModel(path.getObjectId(), path.getResourceId());
        if (row == null)
            throw new IllegalArgumentException("no \"type\", and no model of " + path + " in the version registered");
        return row.type;
    }

    private static Object value(Type type, JsonNode in) {
        switch (type) {
        case STRING:
            return in.asText();
        case INTEGER:
            return Long.valueOf(in.asText());
        case UNSIGNED_INTEGER:
            return ULong.valueOf(in.asText());
        case FLOAT:
            return Double.valueOf(in.asText());
        case BOOLEAN:
            return in.asBoolean();
        case OPAQUE:
            return hex(in.asText());
        case TIME:
            return new Date(Long.parseLong(in.asText()));
        case OBJLNK:
            return new ObjectLink(required(in, "objectId").asInt(), required(in, "objectInstanceId").asInt());
        case CORELINK:
            try {
                return new DefaultLinkParser().parseCoreLinkFormat(in.asText().getBytes(StandardCharsets.UTF_8));
            } catch (LinkParseException e) {
                throw new IllegalArgumentException("not a link: " + in.asText());
            }
        default:
            throw new IllegalArgumentException("nothing of type " + type + " can be written");
        }
    }

    static byte[] hex(String text) {
        return Hex.decodeHex(text.toCharArray());
    }
}
