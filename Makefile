# `make demo` and `make test` build VENV first; PYTHON may be any Python 3.10 to 3.13.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_STEPS ?= 1500
CKPT := demo/snapshots/model.ckpt-$(DEMO_STEPS)
UNSEEN := shapes_000000
PHOTO := import matplotlib; print(matplotlib.get_data_path() + "/sample_data/grace_hopper.jpg")

.PHONY: demo test lint images clean

demo: $(VENV)/installed
	rm -rf demo
	$(BIN)/python util/make_shapes.py demo/data
	$(BIN)/python util/make_shapes.py demo/unseen --seed 1 --num_train 1 --num_val 1
	$(BIN)/python train.py --data_dir demo/data --data_list ImageSets/Segmentation/train.txt \
	    --width 0.125 --dropout 0 --random_mirror --input_size 129,129 --batch_size 8 \
	    --learning_rate 1e-3 --num_steps $(DEMO_STEPS) --save_pred_every 500 \
	    --save_num_images 4 --snapshot_dir demo/snapshots
	$(BIN)/python evaluate.py --data_dir demo/data --restore_from $(CKPT) \
	    --save_dir demo/masks --json demo/evaluation.json
	$(BIN)/python inference.py demo/unseen/JPEGImages/$(UNSEEN).jpg $(CKPT) --save_dir demo/output
	$(BIN)/python inference.py "$$($(BIN)/python -c '$(PHOTO)')" --save_dir demo/photo \
	    --overlay 0.5 --legend
	@$(BIN)/python -c 'import json; r = json.load(open("demo/evaluation.json")); \
	    print("\nval mean IoU %.3f after $(DEMO_STEPS) steps; to look at:" % r["mean_iou"])'
	@echo "  demo/snapshots/images/step-$(DEMO_STEPS).png    training: picture | mask | prediction"
	@echo "  demo/unseen/JPEGImages/$(UNSEEN).jpg  a picture the network never saw,"
	@echo "  demo/output/$(UNSEEN)_mask.png        and its segmentation"
	@echo "  demo/photo/grace_hopper_overlay.png   a photo, by the network that comes along"

test: $(VENV)/installed-tests
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

images: demo
	cp demo/snapshots/images/step-$(DEMO_STEPS).png images/train.png
	cp demo/output/$(UNSEEN)_mask.png images/mask.png
	$(BIN)/python -c 'from PIL import Image; \
	    from deeplab_lfov.inference.visualize import with_legend; \
	    from deeplab_lfov.classes import voc_classes; \
	    blank = Image.new("RGB", (500, 1), "white"); \
	    with_legend(blank, [*range(21), 255], voc_classes(21)).save("images/colour_scheme.png")'

clean:
	rm -rf .venv .venv-lowest demo

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	    { echo 'error: $(PYTHON) is not Python 3.10 to 3.13; try make PYTHON=python3.12' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/installed-tests: $(VENV)/installed tests/requirements.txt
	$(BIN)/python -m pip install --quiet -r tests/requirements.txt
	$(BIN)/python -m pip install --quiet pydensecrf2==1.1 || \
	    echo 'pydensecrf2 needs a C++ compiler; the test that compares with it is skipped'
	touch $@
