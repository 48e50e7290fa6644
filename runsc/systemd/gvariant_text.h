// ParseGvariantText: a value as people write it in annotations ("uint64 5000000", "'inactive-or-failed'",
// "['a', 'b']",
// "@as []"), in GVariant's text format (GLib, "GVariant Text Format").
//
// Of its types those that properties of units have: booleans, numbers, strings, and arrays, tuples and
// variants of them. What is not there (dictionaries, maybe types, byte strings) is refused by name.
#ifndef RUNSC_SYSTEMD_GVARIANT_TEXT_H_
#define RUNSC_SYSTEMD_GVARIANT_TEXT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "runsc/dbus/value.h"

namespace runsc {

absl::StatusOr<DbusValue> ParseGvariantText(std::string_view text);

}  // namespace runsc

#endif  // RUNSC_SYSTEMD_GVARIANT_TEXT_H_
