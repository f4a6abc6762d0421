"""Tests that take half a minute or more each, run by hand and before a release: ``pytest --long``.

What each of them holds is held more shortly by others of its file. A name without brackets stands for all parameters.
"""

LONG = (
    "tests/faults/test_trials.py::test_nothing_is_lost_and_no_number_is_wrong[workers dead in each case]",
    "tests/faults/test_trials.py::test_nothing_is_lost_and_no_number_is_wrong[no memory]",
    "tests/faults/test_trials.py::test_nothing_is_lost_and_no_number_is_wrong[a broken plug-in]",
    "tests/models/api/test_key.py::test_no_traceback_of_pytest_shows_it[<lambda>6]",
    "tests/models/test_exports.py::test_a_study_compares_exports_with_their_original",
    "tests/models/test_loaded_files.py::test_files_hashed_are_the_files_opened",
    "tests/plugin/test_actors.py::test_a_machine_that_goes_costs_the_case_that_it_ran",
    "tests/plugin/test_actors.py::test_a_driver_that_is_killed_goes_on_where_it_was",
    "tests/plugin/test_classes.py::test_other_data_is_incomparable_and_other_code_measured_again",
    "tests/plugin/test_classes.py::test_workers_import_it_each_for_itself",
    "tests/plugin/test_plugin.py::test_beside_other_plugins_and_in_another_order_the_scores_are_the_same",
    "tests/plugin/test_strangers.py::test_runs_on_hostile_data_and_with_an_exception_that_nobody_foresaw",
    "tests/report/test_browser.py::test_a_page_of_hostile_texts_is_a_page_of_texts",
    "tests/report/test_hostile.py::test_every_run_that_is_accepted_is_shown",
    "tests/session/studies/test_canaries.py::test_a_run_says_what_moved_where_a_model_is_not_the_same",
    "tests/session/studies/test_study.py::test_variants_score_what_they_score_by_themselves_and_encode_nothing",
    "tests/session/test_faults.py::test_half_a_list_of_files_is_asked_for_again",
    "tests/session/test_faults.py::test_a_bad_answer_is_an_error_and_then_the_truth[fault1-3]",
    "tests/session/test_faults.py::test_a_run_that_is_killed_in_a_download_goes_on_at_the_next_start",
    "tests/session/test_faults.py::test_a_model_is_tried_again_after_a_failure_of_the_network",
    "tests/session/test_races.py::test_no_number_is_kept_under_a_name_that_is_not_what_was_measured",
    "tests/test_imports.py::test_transformers_has_the_same_models_however_it_is_imported",
)
