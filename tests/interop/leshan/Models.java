// The objects that Leshan's own jar does not know: Server 1.2, 3303 (IPSO Temperature), 3442 (LwM2M 1.1 Test Object).
// MIT license; Copyright (c) 2026 the microlwm2m authors
// Resource numbers, types and operations: the OMA registry's entries for 1 1.2, 3303 1.1 and 3442 1.0.

import java.util.ArrayList;
import java.util.List;
import org.eclipse.leshan.core.model.ObjectLoader;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel;
import org.eclipse.leshan.core.model.ResourceModel.Operations;
import org.eclipse.leshan.core.model.ResourceModel.Type;

final class Models {
    private Models() {
    }

    /** All that the jar brings (objects 0 to 7 and 21, every version but Server 1.2) and those below. */
    static List<ObjectModel> all() {
        List<ObjectModel> models = new ArrayList<>(ObjectLoader.loadAllDefault());
        for (ObjectModel m : List.copyOf(models)) {
            if (m.id == 1 && m.version.equals("1.1"))
                models.add(server(m));
        }
        // Leshan looks a model up by the version in the client's link and knows none for an unlisted version:
        // a client that leaves ver= out means 1.0.
        models.add(temperature("1.0"));
        models.add(temperature("1.1"));
        models.add(testObject());
        return models;
    }

    /** Server 1.2 is Server 1.1 with four more resources, and rights at 13 to 20 that 1.1 left to Bootstrap. */
    private static ObjectModel server(ObjectModel before) {
        List<ResourceModel> rows = new ArrayList<>(before.resources.values());
        rows.removeIf(r -> r.id >= 13 && r.id <= 20);
        rows.add(single(13, "Registration Priority Order", Operations.R, Type.UNSIGNED_INTEGER));
        rows.add(single(14, "Initial Registration Delay Timer", Operations.RW, Type.UNSIGNED_INTEGER));
        rows.add(single(15, "Registration Failure Block", Operations.R, Type.BOOLEAN));
        rows.add(single(16, "Bootstrap on Registration Failure", Operations.R, Type.BOOLEAN));
        rows.add(single(17, "Communication Retry Count", Operations.RW, Type.UNSIGNED_INTEGER));
        rows.add(single(18, "Communication Retry Timer", Operations.RW, Type.UNSIGNED_INTEGER));
        rows.add(single(19, "Communication Sequence Delay Timer", Operations.RW, Type.UNSIGNED_INTEGER));
        rows.add(single(20, "Communication Sequence Retry Count", Operations.RW, Type.UNSIGNED_INTEGER));
        rows.add(row(24, "Alternate APN Links", Operations.RW, true, Type.OBJLNK));
        rows.add(row(25, "Supported Server Versions", Operations.RW, true, Type.STRING));
        rows.add(single(26, "Default Notification Mode", Operations.RW, Type.INTEGER));
        rows.add(single(27, "Profile ID Hash Algorithm", Operations.RW, Type.UNSIGNED_INTEGER));
        return new ObjectModel(1, before.name, "", "1.2", true, true, rows);
    }

    private static ObjectModel temperature(String version) {
        List<ResourceModel> rows = new ArrayList<>();
        rows.add(single(5700, "Sensor Value", Operations.R, Type.FLOAT));
        rows.add(single(5601, "Min Measured Value", Operations.R, Type.FLOAT));
        rows.add(single(5602, "Max Measured Value", Operations.R, Type.FLOAT));
        rows.add(single(5603, "Min Range Value", Operations.R, Type.FLOAT));
        rows.add(single(5604, "Max Range Value", Operations.R, Type.FLOAT));
        rows.add(single(5605, "Reset Min and Max Measured Values", Operations.E, Type.NONE));
        rows.add(single(5701, "Sensor Units", Operations.R, Type.STRING));
        rows.add(single(5518, "Timestamp", Operations.R, Type.TIME));
        rows.add(single(5750, "Application Type", Operations.RW, Type.STRING));
        rows.add(single(6042, "Measurement Quality Indicator", Operations.R, Type.INTEGER));
        rows.add(single(6049, "Measurement Quality Level", Operations.R, Type.INTEGER));
        rows.add(single(6050, "Fractional Timestamp", Operations.R, Type.FLOAT));
        return new ObjectModel(3303, "Temperature", "", version, true, false, rows);
    }

    private static ObjectModel testObject() {
        List<ResourceModel> rows = new ArrayList<>();
        rows.add(single(0, "Reset values", Operations.E, Type.NONE));
        rows.add(single(1, "Randomize values", Operations.E, Type.NONE));
        rows.add(single(2, "Clear values", Operations.E, Type.NONE));
        rows.add(single(3, "Exec With Arguments", Operations.E, Type.NONE));
        rows.add(row(4, "Arguments List", Operations.R, true, Type.STRING));
        rows.add(single(5, "Send Data", Operations.E, Type.NONE));
        rows.add(row(6, "Resources to Send", Operations.RW, true, Type.STRING));
        // One of each type, and 1000 above it the same with instances.
        Object[][] types = { { 110, "String", Type.STRING }, { 120, "Integer", Type.INTEGER },
                { 125, "Unsigned Integer", Type.UNSIGNED_INTEGER }, { 130, "Float", Type.FLOAT },
                { 140, "Boolean", Type.BOOLEAN }, { 150, "Opaque", Type.OPAQUE }, { 160, "Time", Type.TIME },
                { 170, "ObjLink", Type.OBJLNK }, { 180, "CoreLnk", Type.CORELINK } };
        for (Object[] t : types) {
            int rid = (Integer) t[0];
            rows.add(row(rid, t[1] + " Value", Operations.RW, false, (Type) t[2]));
            rows.add(row(1000 + rid, "Multiple " + t[1] + " Value", Operations.RW, true, (Type) t[2]));
        }
        return new ObjectModel(3442, "LwM2M v1.1 Test Object", "", "1.0", true, false, rows);
    }

    private static ResourceModel single(int rid, String name, Operations operations, Type type) {
        return row(rid, name, operations, false, type);
    }

    private static ResourceModel row(int rid, String name, Operations operations, boolean multiple, Type type) {
        return new ResourceModel(rid, name, operations, multiple, false, type, "", "", "");
    }
}
