# One folder of src/ is one object library (for libkadmium) and one archive
# kadmium_<folder> (for tests, which may call what is not exported). Folders
# name those they include; that is the order of the house in docs/architecture.

# The flags that every C file of the project is compiled with.
add_library(kadmium_flags INTERFACE)
target_compile_options(kadmium_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wconversion -Wsign-conversion
  -Wvla -fno-common)
if(KADMIUM_SANITIZE)
  target_compile_options(kadmium_flags INTERFACE
    -fsanitize=${KADMIUM_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(kadmium_flags INTERFACE -fsanitize=${KADMIUM_SANITIZE})
endif()
target_include_directories(kadmium_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)

# kadmium_folder(NAME SOURCES a.c ... [USES folder ...] [LIBRARIES lib ...])
function(kadmium_folder name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_library(kadmium_${name}_objects OBJECT ${arg_SOURCES})
  target_link_libraries(kadmium_${name}_objects
    PRIVATE kadmium_flags ${arg_LIBRARIES})
  add_library(kadmium_${name} STATIC EXCLUDE_FROM_ALL
    $<TARGET_OBJECTS:kadmium_${name}_objects>)
  target_link_libraries(kadmium_${name} PUBLIC kadmium_flags ${arg_LIBRARIES})
  foreach(used IN LISTS arg_USES)
    target_link_libraries(kadmium_${name} PUBLIC kadmium_${used})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY KADMIUM_FOLDERS ${name})
  set_property(GLOBAL APPEND PROPERTY KADMIUM_LIBRARIES ${arg_LIBRARIES})
endfunction()

# kadmium_test(NAME SOURCES a.c ... USES folder ... [LABELS unit ...]):
# one cmocka program, run by ctest under `NAME`.
function(kadmium_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;USES;LIBRARIES;LABELS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  target_link_libraries(test_${name} PRIVATE
    kadmium_test_support PkgConfig::CMOCKA ${arg_LIBRARIES})
  foreach(used IN LISTS arg_USES)
    target_link_libraries(test_${name} PRIVATE kadmium_${used})
  endforeach()
  add_test(NAME ${name} COMMAND test_${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT})
  if(arg_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}")
  endif()
endfunction()
