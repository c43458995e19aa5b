"""What a person does in one sitting: train, evaluate, weigh, export, fit."""
