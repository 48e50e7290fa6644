# runsc_seccomp_filters(TARGET RULES HEADER FUNCTION): compiles the policies that
# runsc::FUNCTION() in the source RULES returns into <build>/generated/HEADER at build
# time, and makes TARGET wait for it. RULES may include headers of rules only.

find_path(SECCOMP_INCLUDE_DIR seccomp.h REQUIRED)
find_library(SECCOMP_LIBRARY NAMES libseccomp.a seccomp REQUIRED)

function(runsc_seccomp_filters target rules header function)
  set(generator generate_${target}_filters)
  add_executable(${generator} ${CMAKE_SOURCE_DIR}/platform/seccomp/generator/generate_main.cc ${rules})
  set_target_properties(${generator} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/generators)
  target_include_directories(${generator} PRIVATE ${CMAKE_SOURCE_DIR} ${SECCOMP_INCLUDE_DIR})
  target_compile_definitions(${generator} PRIVATE _GNU_SOURCE RUNSC_POLICIES=${function})
  if(RUNSC_SANITIZE AND NOT RUNSC_FUZZ)
    target_compile_definitions(${generator} PRIVATE RUNSC_SANITIZED)
  endif()
  target_link_libraries(${generator} PRIVATE ${SECCOMP_LIBRARY})
  set(output ${CMAKE_BINARY_DIR}/generated/${header})
  get_filename_component(folder ${output} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${output} COMMAND ${generator} ${output} DEPENDS ${generator}
    COMMENT "Generating ${header}")
  add_custom_target(${target}_filters DEPENDS ${output})
  add_dependencies(${target} ${target}_filters)
endfunction()
