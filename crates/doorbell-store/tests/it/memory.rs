//! The model keeps its own promises; compared with itself it shows that the comparison holds.

use doorbell_store::contract::Model;

doorbell_store::contract_tests!(Model);
