#include "platform/base/errno.h"

#include <cstring>

namespace runsc {

std::string_view Errno::name() const {
  switch (value_) {
    case ERESTARTSYS:
      return "ERESTARTSYS";
    case ERESTARTNOINTR:
      return "ERESTARTNOINTR";
    case ERESTARTNOHAND:
      return "ERESTARTNOHAND";
    case ERESTART_RESTARTBLOCK:
      return "ERESTART_RESTARTBLOCK";
    default:
      break;
  }
  const char* name = ::strerrorname_np(value_);
  return name != nullptr ? name : "E???";
}

std::string_view Errno::message() const {
  const char* text = ::strerrordesc_np(value_);
  return text != nullptr ? text : "Unknown error";
}

}  // namespace runsc
