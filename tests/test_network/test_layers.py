from deeplab_lfov.network.layers import (
    EARLY,
    EARLY_FIELD,
    EARLY_STRIDE,
    LATE,
    RECEPTIVE_FIELD,
    STEPS,
    STRIDE,
    num_cells,
)


def test_numbers_that_follow_from_the_layers():
    # conv1 4, pool1 2, conv2 8, pool2 4, conv3 24, pool3 8, conv4 48, pool4 16,
    # conv5 3 * 32, pool5 16, pool5a 16, fc6 192
    sums = [1, 4, 2, 8, 4, 24, 8, 48, 16, 96, 16, 16, 192]
    assert sum(sums) == RECEPTIVE_FIELD == 435
    assert STRIDE == 8 == STEPS["conv4_1"] == STEPS["fc8_voc12"]
    assert (STEPS["conv1_1"], STEPS["pool1"], STEPS["conv3_3"]) == (1, 1, 4)


def test_the_early_layers_end_with_pool2_and_have_numbers_of_their_own():
    assert (EARLY[0].name, EARLY[-1].name, LATE[0].name) == ("conv1_1", "pool2", "conv3_1")
    assert EARLY_FIELD == sum([1, 4, 2, 8, 4]) == 19
    assert EARLY_STRIDE == 4 == STEPS["conv3_1"]
    assert [num_cells(pixels, EARLY_STRIDE) for pixels in (1, 9, 377)] == [1, 3, 95]


def test_cells_reach_the_last_pixel():
    assert [num_cells(pixels) for pixels in (1, 2, 9, 10, 321)] == [1, 2, 2, 3, 41]
