// ConsoleCopier: between the master of a process's terminal and its client's FIFOs, both ways; a full FIFO
// keeps neither the other direction nor the shim from going on.
#ifndef RUNSC_SHIM_CONSOLE_COPIER_H_
#define RUNSC_SHIM_CONSOLE_COPIER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "platform/base/unique_fd.h"
#include "runsc/shim/event_loop.h"

namespace runsc::shim {

class ConsoleCopier {
 public:
  // Either of `input` and `output` may be invalid: nothing is typed, and nobody looks.
  ConsoleCopier(EventLoop& loop, UniqueFd master, UniqueFd input, UniqueFd output);
  ~ConsoleCopier();
  ConsoleCopier(const ConsoleCopier&) = delete;
  ConsoleCopier& operator=(const ConsoleCopier&) = delete;

  absl::Status Resize(uint32_t width, uint32_t height);
  void CloseInput();
  // Writes out what the terminal still has, without waiting for anybody.
  void Drain();

 private:
  void Update();
  void FillFromMaster();
  void DrainToOutput();
  void FillFromInput();
  void DrainToMaster();
  void EndOutput();

  EventLoop& loop_;
  UniqueFd master_, input_, output_;
  std::string typed_, shown_;  // on the way in, and out
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_CONSOLE_COPIER_H_
