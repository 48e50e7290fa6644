// What a keeper may do: the rules that every backend's stub filter has.
#ifndef PLATFORM_STUB_KEEPER_FILTER_H_
#define PLATFORM_STUB_KEEPER_FILTER_H_

#include "platform/stub/filter_program.h"

namespace runsc {

void AddKeeperRules(FilterProgram& p);

}  // namespace runsc

#endif  // PLATFORM_STUB_KEEPER_FILTER_H_
