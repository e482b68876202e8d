# One folder of src/ is one object library (for libkadmium) and one archive
# kadmium_<folder> (for tests, which may call what is not exported). Folders
# name those they include; that is the order of the house in docs/architecture.

# The flags that every C file of the project is compiled with, but for the
# sanitizers'.
add_library(kadmium_warnings INTERFACE)
target_compile_options(kadmium_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wconversion -Wsign-conversion
  -Wvla -fno-common)
target_include_directories(kadmium_warnings INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>)

add_library(kadmium_flags INTERFACE)
target_link_libraries(kadmium_flags INTERFACE kadmium_warnings)
if(KADMIUM_SANITIZE)
  target_compile_options(kadmium_flags INTERFACE
    -fsanitize=${KADMIUM_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(kadmium_flags INTERFACE -fsanitize=${KADMIUM_SANITIZE})
endif()

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
# one cmocka program, run by ctest under `NAME`. QUICK ARCHIVE takes everything
# from an archive of kadmium_quick's instead, and has no sanitizers.
function(kadmium_test name)
  cmake_parse_arguments(arg "" "TIMEOUT;QUICK" "SOURCES;USES;LIBRARIES;LABELS" ${ARGN})
  add_executable(test_${name} ${arg_SOURCES})
  if(arg_QUICK)
    target_link_libraries(test_${name} PRIVATE ${arg_QUICK})
  else()
    target_link_libraries(test_${name} PRIVATE kadmium_test_support)
  endif()
  target_link_libraries(test_${name} PRIVATE
    PkgConfig::CMOCKA ${arg_LIBRARIES})
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

# kadmium_quick(NAME FOLDERS folder ... [SOURCES a.c ...] [EXCEPT regex]
# [LIBRARIES lib ...]): what these folders compile, and more, as one archive for
# simulations that take a minute where sanitized code would take three:
# optimised, assertions on, no sanitizers. Only tests without sanitizers may
# link it.
function(kadmium_quick name)
  cmake_parse_arguments(arg "" "EXCEPT" "FOLDERS;SOURCES;LIBRARIES" ${ARGN})
  set(sources ${arg_SOURCES})
  foreach(folder IN LISTS arg_FOLDERS)
    get_target_property(files kadmium_${folder}_objects SOURCES)
    get_target_property(dir kadmium_${folder}_objects SOURCE_DIR)
    list(TRANSFORM files PREPEND ${dir}/)
    list(APPEND sources ${files})
  endforeach()
  if(arg_EXCEPT)
    list(FILTER sources EXCLUDE REGEX ${arg_EXCEPT})
  endif()
  add_library(${name} STATIC EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(${name} PUBLIC kadmium_warnings ${arg_LIBRARIES})
  target_compile_options(${name} PUBLIC -O2 -UNDEBUG)
endfunction()
