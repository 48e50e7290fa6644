# One library a folder: runsc_library(NAME DEPS...) takes every .cc and .S file of
# the folder; foo_test.cc files become the unit-test program NAME_test.

find_package(absl REQUIRED)
find_package(Threads REQUIRED)

# Debian's package names the shared libraries only, but ships the archives too.
get_property(imported_targets DIRECTORY PROPERTY IMPORTED_TARGETS)
foreach(target ${imported_targets})
  get_target_property(location ${target} IMPORTED_LOCATION_NONE)
  if(target MATCHES "^absl::" AND location MATCHES "\\.so")
    string(REGEX REPLACE "\\.so.*$" ".a" archive ${location})
    set_property(TARGET ${target} PROPERTY IMPORTED_LOCATION_NONE ${archive})
  endif()
endforeach()

add_library(runsc_options INTERFACE)
target_include_directories(runsc_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(runsc_options INTERFACE
  _GNU_SOURCE FMT_HEADER_ONLY=1 _GLIBCXX_ASSERTIONS)
target_compile_options(runsc_options INTERFACE
  $<$<COMPILE_LANGUAGE:C,CXX>:-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers>
  $<$<COMPILE_LANGUAGE:C,CXX>:-fno-strict-aliasing -fstack-protector-strong -fPIE>
  $<$<AND:$<COMPILE_LANGUAGE:C,CXX>,$<CONFIG:Release>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
if(RUNSC_WERROR)
  target_compile_options(runsc_options INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()
# Of programs for guests, which have none of these options.
set(RUNSC_GUEST_WARNINGS -Wall -Wextra)
if(RUNSC_WERROR)
  list(APPEND RUNSC_GUEST_WARNINGS -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 finds overlaps in std::string that are not there (GCC bug 105651).
  target_compile_options(runsc_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(runsc_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wthread-safety -Werror=thread-safety>)
endif()
if(RUNSC_SANITIZE)
  if(NOT RUNSC_FUZZ)  # fuzzers are no processes that confine themselves
    target_compile_definitions(runsc_options INTERFACE RUNSC_SANITIZED)
  endif()
  target_compile_options(runsc_options INTERFACE -fsanitize=${RUNSC_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(runsc_options INTERFACE -fsanitize=${RUNSC_SANITIZE})
else()
  target_link_options(runsc_options INTERFACE -static-pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()

# The headers that cost most are read once: a clean build takes half the time. Only headers of the
# standard library, Abseil, fmt and Catch2, so that a change of ours never rebuilds everything.
# With ccache (which can't share precompiled headers between folders) it is better left off.
option(RUNSC_PCH "Precompile the heavy headers" ON)
if(RUNSC_PCH)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    # False alarms like that of -Wrestrict above, which g++ 12 raises only where <string> comes precompiled.
    target_compile_options(runsc_options INTERFACE
      $<$<COMPILE_LANGUAGE:CXX>:-Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds>)
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/pch/empty.cc "")
  function(runsc_precompiled_headers name)
    add_library(${name} STATIC ${CMAKE_BINARY_DIR}/pch/empty.cc)
    target_precompile_headers(${name} PRIVATE <algorithm> <array> <atomic> <functional> <map> <memory> <optional>
      <span> <string> <string_view> <thread> <unordered_map> <vector> <absl/container/btree_map.h>
      <absl/container/btree_set.h> <absl/container/flat_hash_map.h> <absl/container/flat_hash_set.h>
      <absl/functional/function_ref.h> <fmt/format.h> ${ARGN})
  endfunction()
  runsc_precompiled_headers(runsc_pch)
  target_link_libraries(runsc_pch PRIVATE runsc_options)
  runsc_precompiled_headers(runsc_test_pch <catch2/catch.hpp>)
  target_compile_definitions(runsc_test_pch PRIVATE CATCH_CONFIG_NO_POSIX_SIGNALS)
  target_link_libraries(runsc_test_pch PRIVATE runsc_options)
endif()

# runsc_use_pch(TARGET PCH_TARGET)
function(runsc_use_pch target pch)
  if(RUNSC_PCH)
    target_precompile_headers(${target} REUSE_FROM ${pch})
  endif()
endfunction()

# runsc_test(NAME name COMMAND...): as add_test. One at a time, though ctest runs two: times, host processes and CPUs are
# what many of them are about. The other one compiles with clang meanwhile, and gives way (test/checks).
function(runsc_test)
  add_test(${ARGV})
  set_tests_properties(${ARGV1} PROPERTIES RESOURCE_LOCK machine)
endfunction()

function(runsc_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*.S)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC runsc_options ${ARGN})
    runsc_use_pch(${name} runsc_pch)
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE runsc_options ${ARGN})
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ${name} catch_main)
    runsc_use_pch(${name}_test runsc_test_pch)
    runsc_test(NAME unit.${name} COMMAND ${name}_test)
  endif()
endfunction()
