// How each part of a Spec is read from JSON; found by ReadMember through its argument's type.
#ifndef RUNSC_OCI_SPEC_READER_H_
#define RUNSC_OCI_SPEC_READER_H_

#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec.h"

namespace runsc::oci {

using runsc::Read;

void Read(const JsonValue& json, ConsoleSize* size);
void Read(const JsonValue& json, User* user);
void Read(const JsonValue& json, Capabilities* sets);
void Read(const JsonValue& json, Rlimit* limit);
void Read(const JsonValue& json, Scheduler* scheduler);
void Read(const JsonValue& json, IoPriority* priority);
void Read(const JsonValue& json, Process* process);
void Read(const JsonValue& json, Root* root);
void Read(const JsonValue& json, IdMapping* mapping);
void Read(const JsonValue& json, Mount* mount);
void Read(const JsonValue& json, Hook* hook);
void Read(const JsonValue& json, Hooks* hooks);
void Read(const JsonValue& json, Spec* spec);

void Read(const JsonValue& json, Namespace* ns);
void Read(const JsonValue& json, Device* device);
void Read(const JsonValue& json, Seccomp* seccomp);
void Read(const JsonValue& json, Linux* linux_part);

void Read(const JsonValue& json, DeviceRule* rule);
void Read(const JsonValue& json, MemoryResources* memory);
void Read(const JsonValue& json, CpuResources* cpu);
void Read(const JsonValue& json, BlockIoResources* block_io);
void Read(const JsonValue& json, NetworkResources* network);
void Read(const JsonValue& json, Resources* resources);

}  // namespace runsc::oci

#endif  // RUNSC_OCI_SPEC_READER_H_
