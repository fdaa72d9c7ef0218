# What the bench server knows of objects: names and types, to write values and to show them.
# MIT license; Copyright (c) 2026 the microlwm2m authors
# OMA's object registry; LwM2M Core 1.2 appendix C (types).

import glob
import os
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

from ..errors import UsageError

STRING, INTEGER, UNSIGNED, FLOAT, BOOLEAN, OPAQUE, TIME, OBJLNK, CORELNK = (
    "string", "integer", "unsigned", "float", "boolean", "opaque", "time", "objlnk", "corelnk"
)
_LETTERS = {"s": STRING, "i": INTEGER, "u": UNSIGNED, "f": FLOAT, "b": BOOLEAN, "o": OPAQUE,
            "t": TIME, "l": OBJLNK, "c": CORELNK, "-": None}
_XML_TYPES = {"string": STRING, "integer": INTEGER, "unsigned integer": UNSIGNED, "float": FLOAT,
              "boolean": BOOLEAN, "opaque": OPAQUE, "time": TIME, "objlnk": OBJLNK,
              "corelnk": CORELNK}


class Resource(NamedTuple):
    """type: None for what is only executed. multiple: whether it has instances."""

    name: str
    type: str
    multiple: bool


# oid, name; then one word a resource: rid, type (a star when it has instances), name.
_OBJECTS = """
1 Server: 0iShort_Server_ID 1iLifetime 2iDefault_Minimum_Period 3iDefault_Maximum_Period 4-Disable
 5iDisable_Timeout 6bNotification_Storing 7sBinding 8-Registration_Update_Trigger
 9-Bootstrap-Request_Trigger 10lAPN_Link 11uTLS-DTLS_Alert_Code 12tLast_Bootstrapped
 13uRegistration_Priority_Order 14uInitial_Registration_Delay 15bRegistration_Failure_Block
 16bBootstrap_on_Registration_Failure 17uCommunication_Retry_Count 18uCommunication_Retry_Timer
 19uCommunication_Sequence_Delay_Timer 20uCommunication_Sequence_Retry_Count 21bTrigger
 22sPreferred_Transport 23bMute_Send 24l*Alternate_APN_Links 25s*Supported_Server_Versions
 26iDefault_Notification_Mode 27uProfile_ID_Hash_Algorithm
2 Access_Control: 0iObject_ID 1iObject_Instance_ID 2i*ACL 3iAccess_Control_Owner
3 Device: 0sManufacturer 1sModel_Number 2sSerial_Number 3sFirmware_Version 4-Reboot 5-Factory_Reset
 6i*Available_Power_Sources 7i*Power_Source_Voltage 8i*Power_Source_Current 9iBattery_Level
 10iMemory_Free 11i*Error_Code 12-Reset_Error_Code 13tCurrent_Time 14sUTC_Offset 15sTimezone
 16sSupported_Binding_and_Modes 17sDevice_Type 18sHardware_Version 19sSoftware_Version
 20iBattery_Status 21iMemory_Total 22l*ExtDevInfo
4 Connectivity_Monitoring: 0iNetwork_Bearer 1i*Available_Network_Bearer 2iRadio_Signal_Strength
 3iLink_Quality 4s*IP_Addresses 5s*Router_IP_Addresses 6iLink_Utilization 7s*APN 8iCell_ID 9iSMNC
 10iSMCC 11iSignalSNR 12iLAC 13iCoverage_Enhancement_Level
5 Firmware_Update: 0oPackage 1sPackage_URI 2-Update 3iState 5iUpdate_Result 6sPkgName 7sPkgVersion
 8i*Firmware_Update_Protocol_Support 9iFirmware_Update_Delivery_Method 10-Cancel 11iSeverity
 12tLast_State_Change_Time 13uMaximum_Defer_Period 14bAutomatic_Upgrade_at_Download
6 Location: 0fLatitude 1fLongitude 2fAltitude 3fRadius 4oVelocity 5tTimestamp 6fSpeed
7 Connectivity_Statistics: 0iSMS_Tx_Counter 1iSMS_Rx_Counter 2iTx_Data 3iRx_Data 4iMax_Message_Size
 5iAverage_Message_Size 6-Start 7-Stop 8iCollection_Period
3442 Test_Object: 0-Reset_values 1-Randomize_values 2-Clear_values 3-Exec_With_Arguments
 4s*Arguments_List 5-Send_Data 6s*Resources_to_Send 110sString_Value 120iInteger_Value
 125uUnsigned_Integer_Value 130fFloat_Value 140bBoolean_Value 150oOpaque_Value 160tTime_Value
 170lObjLink_Value 180cCoreLnk_Value 1110s*Multiple_String_Value 1120i*Multiple_Integer_Value
 1125u*Multiple_Unsigned_Integer_Value 1130f*Multiple_Float_Value 1140b*Multiple_Boolean_Value
 1150o*Multiple_Opaque_Value 1160t*Multiple_Time_Value 1170l*Multiple_ObjLink_Value
 1180c*Multiple_CoreLnk_Value
"""

# The reusable resources: the same in every object that has them.
_REUSABLE = """
: 5500bDigital_Input_State 5501iDigital_Input_Counter 5502bDigital_Input_Polarity
 5503iDigital_Input_Debounce 5504iDigital_Input_Edge_Selection 5505-Digital_Input_Counter_Reset
 5517oVelocity 5518tTimestamp 5519fMin_Limit 5520fMax_Limit 5527sText 5528iX_Coordinate
 5529iY_Coordinate 5530-Clear_Display 5531fContrast 5536fCurrent_Position 5537fTransition_Time
 5538fRemaining_Time 5545iMax_X_Coordinate 5546iMax_Y_Coordinate 5548fLevel
 5600fAnalog_Input_Current_Value 5601fMin_Measured_Value 5602fMax_Measured_Value
 5603fMin_Range_Value 5604fMax_Range_Value 5605-Reset_Min_and_Max_Measured_Values 5700fSensor_Value
 5701sSensor_Units 5702fX_Value 5703fY_Value 5704fZ_Value 5705fCompass_Direction 5706sColour
 5750sApplication_Type 5751sSensor_Type 5805fCumulative_active_power 5820fPower_factor
 5821fCurrent_Calibration 5850bOn/Off 5851iDimmer 5852iOn_time 5853sMulti-state_Output 5854iOff_Time
 6042iMeasurement_Quality_Indicator 6049iMeasurement_Quality_Level 6050fFractional_Timestamp
 6051fNumeric_Latitude 6052fNumeric_Longitude 6053fNumeric_Uncertainty
"""

_IPSO_NAMES = {
    3200: "Digital Input", 3201: "Digital Output", 3202: "Analog Input", 3203: "Analog Output",
    3300: "Generic Sensor", 3301: "Illuminance", 3302: "Presence", 3303: "Temperature",
    3304: "Humidity", 3306: "Actuation", 3311: "Light Control", 3313: "Accelerometer",
    3315: "Barometer", 3330: "Distance", 3336: "Location", 3337: "Positioner",
    3341: "Addressable Text Display", 3342: "On/Off switch", 3347: "Push button",
}


def _resource(word):
    digits = len(word) - len(word.lstrip("0123456789"))
    rid, rest = int(word[:digits]), word[digits:]
    multiple = rest[1] == "*"
    return rid, Resource(rest[1 + multiple :].replace("_", " "), _LETTERS[rest[0]], multiple)


def _resources(words):
    return dict(_resource(word) for word in words.split())


class Models:
    """Names and types of resources.

    folder: of OMA XML files that add to what is known or correct it, or None.
    Raises UsageError for a file that is no object definition.
    """

    def __init__(self, folder=None):
        self.names = dict(_IPSO_NAMES)
        self.objects = {}
        self.reusable = _resources(_REUSABLE.strip().lstrip(":"))
        for entry in _OBJECTS.strip().replace("\n ", " ").split("\n"):
            head, _, words = entry.partition(":")
            oid, _, name = head.partition(" ")
            self.names[int(oid)] = name.replace("_", " ")
            self.objects[int(oid)] = _resources(words)
        if folder is not None:
            self._read(folder)

    def _read(self, folder):
        if not os.path.isdir(folder):
            raise UsageError("%s: not a folder" % folder)
        for path in sorted(glob.glob(os.path.join(folder, "*.xml"))):
            try:
                for node in ElementTree.parse(path).getroot().iter("Object"):
                    self._take(node)
            except (ElementTree.ParseError, ValueError, TypeError, AttributeError) as e:
                raise UsageError("%s: not an object definition (%s)" % (path, e)) from None

    def _take(self, node):
        oid = int(node.findtext("ObjectID"))
        self.names[oid] = node.findtext("Name").strip()
        self.objects[oid] = {
            int(item.get("ID")): Resource(
                item.findtext("Name").strip(),
                _XML_TYPES.get((item.findtext("Type") or "").strip().lower()),
                item.findtext("MultipleInstances") == "Multiple",
            )
            for item in node.find("Resources").iter("Item")
        }

    def resource(self, oid, rid):
        """The Resource, or None when it is not known."""
        found = self.objects.get(oid, {}).get(rid)
        return found if found is not None else self.reusable.get(rid)

    def type(self, path):
        """The type of the resource that a path of three or four numbers leads to, or None."""
        found = self.resource(path[0], path[2]) if len(path) > 2 else None
        return found.type if found is not None else None

    def name(self, path):
        """The name of what a path leads to, "" when it is not known."""
        if len(path) > 2:
            found = self.resource(path[0], path[2])
            return found.name if found is not None else ""
        return self.names.get(path[0], "") if path else ""
